# Remove task services.

use ../providers/local.nu

# Remove a task service from its servers. It succeeds if the task service does not exist.
export def delete-taskserv [taskserv: string] {
    local phase "50%" $"removing ($taskserv)"
    {name: $taskserv, deleted: (local remove taskservs $taskserv)}
}
