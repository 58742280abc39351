# Delete servers.

use ../providers/local.nu

# Delete a server and give its address back. What is not there is deleted already.
export def delete-server [name: string] {
    local phase "50%" $"stopping ($name)"
    let deleted = (local remove servers $name)
    local release-address $name
    {name: $name, deleted: $deleted}
}
