# `http get` and `http post` as they are, but for calls to the scheduler's own
# endpoint: these take its token along, send records as JSON, and have `$task_id`,
# which Nushell leaves as it is in a bare word, replaced by the id of the task.
#
# Values that are null cannot be handed to built-in commands, so defaults stand here.

use token.nu

alias built-in-get = http get
alias built-in-post = http post

# Fetch the contents from a URL.
export def "http get" [
    url: string
    --user (-u): any
    --password (-p): any
    --max-time (-m): duration = 52wk
    --headers (-H): any
    --raw (-r)
    --insecure (-k)
    --full (-f)
    --allow-errors (-e)
    --pool
    --redirect-mode (-R): string = "follow"
    --unix-socket (-U): path
] {
    let url = $url | addressed
    let headers = $headers | authorized $url $user $password
    if $unix_socket == null {
        built-in-get --headers=$headers --max-time=$max_time --redirect-mode=$redirect_mode --raw=$raw --insecure=$insecure --full=$full --allow-errors=$allow_errors --pool=$pool $url
    } else {
        built-in-get --unix-socket=$unix_socket --headers=$headers --max-time=$max_time --redirect-mode=$redirect_mode --raw=$raw --insecure=$insecure --full=$full --allow-errors=$allow_errors $url
    }
}

# Send a POST request to a URL with a request body.
export def "http post" [
    url: string
    data?: any
    --user (-u): any
    --password (-p): any
    --content-type (-t): string
    --max-time (-m): duration = 52wk
    --headers (-H): any
    --raw (-r)
    --insecure (-k)
    --full (-f)
    --allow-errors (-e)
    --pool
    --redirect-mode (-R): string = "follow"
    --unix-socket (-U): path
] {
    let piped = $in
    let data = $data | default $piped
    let url = $url | addressed
    let headers = $headers | authorized $url $user $password
    let is_text = ($data | describe --detailed).type in [string binary]
    if $unix_socket != null {
        let content_type = $content_type | default "application/json"
        built-in-post --unix-socket=$unix_socket --content-type=$content_type --headers=$headers --max-time=$max_time --redirect-mode=$redirect_mode --raw=$raw --insecure=$insecure --full=$full --allow-errors=$allow_errors $url $data
    } else if $content_type == null and $is_text {
        built-in-post --headers=$headers --max-time=$max_time --redirect-mode=$redirect_mode --raw=$raw --insecure=$insecure --full=$full --allow-errors=$allow_errors --pool=$pool $url $data
    } else {
        let content_type = $content_type | default "application/json"
        built-in-post --content-type=$content_type --headers=$headers --max-time=$max_time --redirect-mode=$redirect_mode --raw=$raw --insecure=$insecure --full=$full --allow-errors=$allow_errors --pool=$pool $url $data
    }
}

def addressed []: string -> string {
    if ($in | is-ours) { str replace --all '$task_id' ($env.PROVCTL_TASK_ID? | default '$task_id') } else { $in }
}

# The whole authority has to be the endpoint's: the token is for nobody else.
def is-ours []: string -> bool {
    let url = $in
    let endpoint = $env.PROVCTL_ENDPOINT? | default "http://localhost:9090"
    # Both names of this machine; nothing else stands for something else.
    let same = [$endpoint ($endpoint | str replace '//127.0.0.1:' '//localhost:') ($endpoint | str replace '//localhost:' '//127.0.0.1:')]
    $same | any {|each| $url == $each or ($url | str starts-with $"($each)/") }
}

def authorized [url: string, user: any, password: any] {
    let headers = $in | default {}
    let own = if $user != null {
        {Authorization: $"Basic ($"($user):($password)" | encode base64)"}
    } else if ($url | is-ours) {
        let token = token
        if $token == null { {} } else { {Authorization: $"Bearer ($token)"} }
    } else { {} }
    if ($headers | describe --detailed).type == record { $own | merge $headers } else { $headers }
}
