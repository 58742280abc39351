# Delete servers.

use ../providers/choice.nu
use ../providers/local.nu
use ../providers/aws.nu
use ../providers/upcloud.nu

# Delete a server. It succeeds if the server does not exist.
export def delete-server [
    name: string
    --zone: string # where it is, for a provider that asks
    --provider: string # local, aws or upcloud
] {
    let deleted = match (choice chosen $provider) {
        aws => (aws delete-server $name --zone=$zone)
        upcloud => (upcloud delete-server $name --zone=$zone)
        _ => (local delete-server $name)
    }
    {name: $name, deleted: $deleted}
}
