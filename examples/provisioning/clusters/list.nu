# List clusters.

use ../providers/local.nu

# The clusters there are, as a table.
export def list-clusters [] {
    local load-all clusters
}
