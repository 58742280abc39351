# Remove task services.

use ../providers/local.nu

# Remove a task service from its servers. What is not there is removed already.
export def delete-taskserv [taskserv: string] {
    local phase "50%" $"removing ($taskserv)"
    {name: $taskserv, deleted: (local remove taskservs $taskserv)}
}
