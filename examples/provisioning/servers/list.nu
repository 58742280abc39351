# List servers.

use ../providers/local.nu

# The servers there are, as a table.
export def list-servers [
    --zone: string # only those in this zone
] {
    local load-all servers
    | where $zone == null or $it.zone == $zone
    | select name zone plan ip status created_at
}
