# The provider `local`: keeps what it made as files, one JSON record each.
#
#   <state>/servers/web-1.json       the record of a server
#   <state>/addresses/10.0.0.10      who holds that address
#
# <state> is $env.PROVISIONING_STATE, or ~/.local/state/provisioning.
# Any number of commands may work on it at once: a record appears whole or not
# at all, and only one of several that want the same name or address gets it.

use choice.nu

# Where the records of one kind are.
def directory [kind: string]: nothing -> string {
    let root = ($env.PROVISIONING_STATE? | default "~/.local/state/provisioning")
    let directory = ($root | path expand | path join $kind)
    mkdir $directory
    $directory
}

# Where the record of one thing is. A name is never taken for a path.
def place [kind: string, name: string]: nothing -> string {
    if $name !~ '^[a-z0-9][a-z0-9.-]{0,62}$' {
        error make --unspanned {msg: $"($name | to json) cannot be a name: lower-case letters, digits and - only"}
    }
    directory $kind | path join $"($name).json"
}

# Write the input beside `path`, whole, and return where.
def write-aside [path: string]: any -> string {
    let aside = $"($path).(random uuid).new"
    $in | to json | save --raw $aside
    $aside
}

# The record of one thing, null if there is none.
export def load [kind: string, name: string] {
    let path = (place $kind $name)
    # Asking first whether it exists would race with a delete.
    try { open $path } catch { null }
}

# All records of a kind, sorted by name.
export def load-all [kind: string] {
    glob (directory $kind | path join "*.json") | sort | each {|path| try { open $path } } | compact
}

# Store the input as a new record. False, and nothing changed, if there is one.
export def claim [kind: string, name: string]: any -> bool {
    let path = (place $kind $name)
    let aside = ($in | write-aside $path)
    # A hard link is the one way to create a file with its content, or fail.
    let linked = (^ln $aside $path | complete)
    rm $aside
    if $linked.exit_code != 0 and not ($path | path exists) {
        error make --unspanned {msg: $linked.stderr}
    }
    $linked.exit_code == 0
}

# Store the input as the record, in place of an older one.
export def store [kind: string, name: string]: any -> nothing {
    let path = (place $kind $name)
    mv --force ($in | write-aside $path) $path
}

# Remove a record. True if there was one.
export def remove [kind: string, name: string]: nothing -> bool {
    try { rm (place $kind $name); true } catch { false }
}

# A free address of 10.0.0.0/24 for `owner`; the same one if it asks again.
export def claim-address [owner: string] {
    let held = (load-all addresses | where owner == $owner)
    if ($held | is-not-empty) { return $held.0.address }
    for host in 10..250 {
        let address = $"10.0.0.($host)"
        if ({address: $address, owner: $owner} | claim addresses $address) { return $address }
    }
    error make --unspanned {msg: "no address of 10.0.0.0/24 is free"}
}

# Give back the address that `owner` holds.
export def release-address [owner: string]: nothing -> nothing {
    for held in (load-all addresses | where owner == $owner) { remove addresses $held.address }
}

# The server of a name, null if there is none.
export def find-server [name: string, --zone: string] {
    load servers $name
}

# All servers.
export def all-servers [--zone: string] {
    load-all servers
}

# Create a server and wait until it can be reached.
export def create-server [name: string, --zone: string, --plan: string] {
    let wanted = {name: $name, zone: ($zone | default "es-mad1"), plan: ($plan | default "2xCPU-4GB")}
    let existing = (load servers $name)
    if $existing != null { return (same $existing $wanted) }

    phase "5%" $"checking the quota in ($wanted.zone)"
    phase "20%" "reserving an address"
    let ip = (claim-address $name)
    phase "40%" $"copying the image for ($wanted.plan)"
    phase "65%" $"booting, ($ip)"
    phase "90%" "waiting for ssh"

    let server = ($wanted | merge {
        ip: $ip
        status: "running"
        created_at: (date now | format date "%Y-%m-%dT%H:%M:%SZ")
        provider: "local"
        key: ($env.PROVCTL_IDEMPOTENCY_KEY? | default "")
    })
    if not ($server | claim servers $name) {
        # Another command made it meanwhile, maybe at another address.
        let made = (load servers $name)
        if $made.ip != $ip { remove addresses $ip }
        return (same $made $wanted)
    }
    print "PROGRESS: 100% running"
    $server
}

# The server that is there, if it is what is wanted.
def same [existing: record, wanted: record]: nothing -> record {
    choice check-same $existing $wanted
    print $"PROGRESS: 100% ($existing.name) was there already"
    $existing
}

# Delete a server and give its address back; true if there was one.
export def delete-server [name: string, --zone: string]: nothing -> bool {
    phase "50%" $"stopping ($name)"
    let deleted = (remove servers $name)
    release-address $name
    $deleted
}

# Report a phase of the work, then take the time that it would take.
#
# $env.PROVISIONING_SPEED stretches the time: 0 does not wait, 2 takes twice as long.
export def phase [
    progress: string # "40%" or "3/7"
    message: string
    --takes: duration = 250ms
]: nothing -> nothing {
    print $"PROGRESS: ($progress) ($message)"
    sleep ($takes * ($env.PROVISIONING_SPEED? | default 1 | into float))
}
