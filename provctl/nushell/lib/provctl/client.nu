# Speaking with the scheduler, in a task and at a terminal.

use token.nu

# The settings as one record: $config.orchestrator.endpoint and so on.
export def load-config [] {
    let config = ^(program) config show -o json | from json | reduce --fold {} {|row, all|
        $all | upsert ($row.key | split row "." | into cell-path) $row.value
    }
    # A task is told where its scheduler listens, whatever was set since.
    let told = $env.PROVCTL_ENDPOINT? | default $config.orchestrator.endpoint
    $config | update orchestrator.endpoint $told
}

# Return what a Jinja2 template becomes with the given values.
export def render [
    file: path  # the template
    values: record = {}  # by stdin, not as arguments: others cannot read them
] {
    # Decoded it is a value; the output of a program would go to the log.
    $values | to json --raw | ^(program) template render $file --values - | decode utf-8
}

# Return what the scheduler says of its health; an error if it is not well.
export def check-orchestrator-health [] {
    let response = try { get /health } catch { {status: "unreachable"} }
    if $response.status != "healthy" {
        error make --unspanned {msg: "Orchestrator not available"}
    }
    $response
}

# Whether a scheduler answers and is well.
export def orchestrator-available []: nothing -> bool {
    try { (get /health).status == "healthy" } catch { false }
}

# Start the scheduler if none answers and orchestrator.auto_start allows it.
export def ensure-orchestrator [] {
    if not (orchestrator-available) and (load-config).orchestrator.auto_start {
        print --stderr "Starting orchestrator..."
        ^(program) scheduler start
    }
}

# Report the progress of any task; `provctl progress` does it for this one.
export def report-progress [
    task_id: string  # RUN/TASK, as in $env.PROVCTL_TASK_ID
    progress: int  # percent
] {
    post $"/tasks/($task_id)/progress" {progress: $progress, status: "in_progress"}
}

# Have a server created: by the scheduler, which answers with a workflow_id, or here.
export def server_create_workflow [
    infra_name: string
    --orchestrated
] {
    if $orchestrated {
        let task = {type: "server_create", infra: $infra_name, params: {}}
        post /workflows/servers/create $task
    } else {
        ^(program) server create --direct --infra $infra_name
    }
}

def program [] {
    $env.PROVCTL_PROGRAM? | default --empty "provctl"
}

def get [path: string] {
    if $env.PROVCTL_ENDPOINT? == null {
        http get --unix-socket (socket) --max-time 30sec $"http://127.0.0.1($path)"
    } else {
        http get --headers (authorization) --max-time 30sec $"($env.PROVCTL_ENDPOINT)($path)"
    }
}

def post [path: string, body: record] {
    let json = "application/json"
    if $env.PROVCTL_ENDPOINT? == null {
        http post --unix-socket (socket) -t $json --max-time 60sec $"http://127.0.0.1($path)" $body
    } else {
        http post --headers (authorization) -t $json --max-time 60sec $"($env.PROVCTL_ENDPOINT)($path)" $body
    }
}

# The unix socket is there whenever the scheduler is, and needs no token.
def socket [] {
    let state = $env.PROVCTL_STATE_DIR? | default { (load-config).storage.data_dir }
    $state | path join scheduler api.sock
}

def authorization [] {
    let token = token
    if $token == null { {} } else { {Authorization: $"Bearer ($token)"} }
}
