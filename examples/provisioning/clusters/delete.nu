# Delete clusters.

use ../providers/local.nu

# Delete a cluster. It succeeds if the cluster does not exist.
export def delete-cluster [name: string] {
    local phase "50%" $"removing the applications of ($name)"
    {name: $name, deleted: (local remove clusters $name)}
}
