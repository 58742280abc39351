# Create servers.

use ../providers/local.nu

# Create a server and wait until it can be reached.
#
# Asking again for the same server returns the one there is, so an attempt that
# was cut short can be repeated. Asking for another one of that name is an error.
export def create-server [
    name: string
    --zone: string = "es-mad1"
    --plan: string = "2xCPU-4GB"
] {
    let wanted = {name: $name, zone: $zone, plan: $plan}
    let existing = (local load servers $name)
    if $existing != null { return (same-server $existing $wanted) }

    local phase "5%" $"checking the quota in ($zone)"
    local phase "20%" "reserving an address"
    let ip = (local claim-address $name)
    local phase "40%" $"copying the image for ($plan)"
    local phase "65%" $"booting, ($ip)"
    local phase "90%" "waiting for ssh"

    let server = ($wanted | merge {
        ip: $ip
        status: "running"
        created_at: (date now | format date "%Y-%m-%dT%H:%M:%SZ")
        key: ($env.PROVCTL_IDEMPOTENCY_KEY? | default "")
    })
    if not ($server | local claim servers $name) {
        # Another command made it meanwhile, maybe at another address.
        let made = (local load servers $name)
        if $made.ip != $ip { local remove addresses $ip }
        return (same-server $made $wanted)
    }
    print "PROGRESS: 100% running"
    $server
}

# The existing server, if it is what is wanted.
def same-server [existing: record, wanted: record]: nothing -> record {
    let key = ($env.PROVCTL_IDEMPOTENCY_KEY? | default "")
    let same = ($existing | select name zone plan) == $wanted
    if not $same and ($key == "" or $existing.key != $key) {
        error make --unspanned {
            msg: $"server ($existing.name) exists with another zone or plan: ($existing.zone), ($existing.plan)"
        }
    }
    print $"PROGRESS: 100% ($existing.name) was there already"
    $existing
}
