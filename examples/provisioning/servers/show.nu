# Show servers.

use ../providers/choice.nu
use ../providers/local.nu
use ../providers/aws.nu
use ../providers/upcloud.nu

# All that is known of a server; an error if there is none of that name.
export def show-server [
    name: string
    --zone: string # where it is, for a provider that asks
    --provider: string # local, aws or upcloud
] {
    let chosen = (choice chosen $provider)
    let server = match $chosen {
        aws => (aws find-server $name --zone=$zone)
        upcloud => (upcloud find-server $name)
        _ => (local find-server $name)
    }
    if $server == null {
        error make --unspanned {msg: $"($chosen) has no server ($name)"}
    }
    $server
}
