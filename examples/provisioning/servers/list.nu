# List servers.

use ../providers/choice.nu
use ../providers/local.nu
use ../providers/aws.nu
use ../providers/upcloud.nu

# The servers there are, as a table.
export def list-servers [
    --zone: string # only those in this zone
    --provider: string # local, aws or upcloud
] {
    let all = match (choice chosen $provider) {
        aws => (aws all-servers --zone=$zone)
        upcloud => (upcloud all-servers)
        _ => (local all-servers)
    }
    $all
    | where $zone == null or $it.zone == $zone
    | sort-by name
    | select name zone plan ip status created_at
}
