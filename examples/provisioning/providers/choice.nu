# Which provider is meant: the one that is named, $env.PROVISIONING_PROVIDER, or local.
#
# A provider is a module with these commands, each of which may be repeated without harm:
#
#   create-server NAME --zone --plan   the server, when it runs: a record with name, zone,
#                                      plan, ip, status, created_at and provider
#   find-server NAME                   the same record, null if there is none
#   all-servers                        all of them, as a table
#   delete-server NAME                 true if there was one; it is gone then
#
# Nushell loads modules when it parses, so each command of servers/ has a `match` with
# one line for each of them.

const PROVIDERS = [local aws upcloud]

# The name of the provider; an error if there is none of that name.
export def chosen [named?: string]: nothing -> string {
    let chosen = ($named | default $env.PROVISIONING_PROVIDER? | default local)
    if $chosen not-in $PROVIDERS {
        error make --unspanned {msg: $"unknown provider ($chosen); known providers: ($PROVIDERS | str join ', ')"}
    }
    $chosen
}

# An error unless the server that is there is the one that is wanted.
#
# A task that is retried may find what its first attempt created in progress, with whatever
# zone and plan it was; that is its own.
export def check-same [existing: record, wanted: record]: nothing -> nothing {
    let key = ($env.PROVCTL_IDEMPOTENCY_KEY? | default "")
    let own = ($key != "" and $existing.key? == $key)
    for field in [zone plan] {
        let wish = ($wanted | get $field)
        if not $own and $wish != null and $wish != ($existing | get $field) {
            error make --unspanned {
                msg: $"server ($existing.name) exists with another zone or plan: ($existing.zone), ($existing.plan)"
            }
        }
    }
}

# Ask again and again until a state is reached, or it is too late; the last answer.
export def until [
    question: closure # answers with a record that has a status
    wanted: list<string>
    --what: string = "it"
    --within: duration = 10min
    --pause: duration = 1sec
] {
    let deadline = (date now) + $within
    mut answer = (do $question)
    while $answer.status not-in $wanted {
        if (date now) > $deadline {
            error make --unspanned {msg: $"($what) is still ($answer.status) after ($within)"}
        }
        sleep $pause
        $answer = (do $question)
    }
    $answer
}
