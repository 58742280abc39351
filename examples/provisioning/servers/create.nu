# Create servers.

use ../providers/choice.nu
use ../providers/local.nu
use ../providers/aws.nu
use ../providers/upcloud.nu

# Create a server and wait until it can be reached.
#
# Asking again for the same server returns the one there is, so an attempt that
# was cut short can be repeated. Asking for another one of that name is an error.
export def create-server [
    name: string # also its hostname
    --zone: string # the provider's default if not given
    --plan: string # its size, in the provider's words
    --provider: string # local, aws or upcloud
] {
    match (choice chosen $provider) {
        aws => (aws create-server $name --zone=$zone --plan=$plan)
        upcloud => (upcloud create-server $name --zone=$zone --plan=$plan)
        _ => (local create-server $name --zone=$zone --plan=$plan)
    }
}
