# The provider `upcloud`: servers of UpCloud, through its HTTP API.
#
#   UPCLOUD_USERNAME, UPCLOUD_PASSWORD   who pays, from the environment alone
#   UPCLOUD_API                          another address than https://api.upcloud.com/1.3
#   PROVISIONING_UPCLOUD_TEMPLATE        the storage to clone; Debian 12 if not set
#
# A server is one by its hostname. https://developers.upcloud.com/1.3/

use choice.nu

const API = "https://api.upcloud.com/1.3"
const DEBIAN = "01000000-0000-4000-8000-000020070100"

# Ask the API; its answer, null for an empty one, an error with its words if it refuses.
def ask [method: string, path: string, body?: any] {
    let url = ($env.UPCLOUD_API? | default $API | str trim --right --char "/") + $path
    let who = ($"($env.UPCLOUD_USERNAME? | default ''):($env.UPCLOUD_PASSWORD? | default '')" | encode base64)
    let how = {Authorization: $"Basic ($who)", Accept: application/json}
    let answer = match $method {
        get => (http get --full --allow-errors --headers $how $url)
        post => (http post --full --allow-errors --headers $how --content-type application/json $url $body)
        delete => (http delete --full --allow-errors --headers $how $url)
    }
    if $answer.status >= 400 {
        let said = ($answer.body.error?.error_message? | default $"status ($answer.status)")
        let code = ($answer.body.error?.error_code? | default "-")
        error make --unspanned {msg: $"upcloud ($method) ($path): ($said) \(($code)\)"}
    }
    $answer.body
}

# A server as all providers have them; of a list it has no addresses, and no ip.
def server-of [server: record] {
    let addresses = ($server.ip_addresses?.ip_address? | default [])
    let labels = ($server.labels?.label? | default [] | reduce --fold {} {|label, all| $all | insert $label.key $label.value})
    let public = ($addresses | where access == public and family == IPv4)
    {
        name: $server.hostname
        zone: $server.zone
        plan: $server.plan
        ip: ($public ++ $addresses | get --optional 0.address)
        status: (if $server.state == started { "running" } else { $server.state })
        created_at: ($server.created? | default 0 | into int | $in * 1_000_000_000 | into datetime | format date "%Y-%m-%dT%H:%M:%SZ")
        provider: upcloud
        id: $server.uuid
        key: ($labels.provctl-key? | default "")
    }
}

# The server of a name, null if there is none.
export def find-server [name: string, --zone: string] {
    let found = (ask get "/server" | get servers.server | where hostname == $name | get --optional 0)
    if $found == null { return null }
    detail $found.uuid
}

def detail [id: string] {
    server-of (ask get $"/server/($id)" | get server)
}

# All servers of the account.
export def all-servers [--zone: string] {
    ask get "/server" | get servers.server | each {|server| detail $server.uuid }
}

# Create a server and wait until it runs.
export def create-server [name: string, --zone: string, --plan: string] {
    let wanted = {name: $name, zone: $zone, plan: $plan}
    let existing = (find-server $name)
    let id = if $existing == null {
        print $"PROGRESS: 10% asking for ($name)"
        start $wanted
    } else {
        choice check-same $existing $wanted
        print $"PROGRESS: 50% ($name) was there already"
        $existing.id
    }
    print $"PROGRESS: 60% ($id) is starting"
    let server = (choice until { detail $id } [running] --what $name)
    print "PROGRESS: 100% running"
    $server
}

# Ask for a server; its id.
def start [wanted: record]: nothing -> string {
    let key = ($env.PROVCTL_IDEMPOTENCY_KEY? | default "")
    let disk = {
        action: clone
        storage: ($env.PROVISIONING_UPCLOUD_TEMPLATE? | default $DEBIAN)
        title: $"($wanted.name) disk"
        tier: maxiops
    }
    let server = {
        zone: ($wanted.zone | default "es-mad1")
        title: $wanted.name
        hostname: $wanted.name
        plan: ($wanted.plan | default "1xCPU-1GB")
        metadata: "yes"
        labels: {label: [{key: provctl-key, value: $key}]}
        storage_devices: {storage_device: [$disk]}
    }
    ask post "/server" {server: $server} | get server.uuid
}

# Stop a server and delete it with its disks.
export def delete-server [name: string, --zone: string]: nothing -> bool {
    let existing = (find-server $name)
    if $existing == null { return false }
    # One that was asked for just now cannot be stopped before it has started.
    let settled = (choice until { detail $existing.id } [running stopped error] --what $name)
    if $settled.status == running {
        print $"PROGRESS: 30% stopping ($name)"
        ask post $"/server/($existing.id)/stop" {stop_server: {stop_type: hard, timeout: "60"}} | ignore
        choice until { detail $existing.id } [stopped] --what $name | ignore
    }
    print $"PROGRESS: 70% deleting ($name)"
    ask delete $"/server/($existing.id)?storages=1" | ignore
    true
}
