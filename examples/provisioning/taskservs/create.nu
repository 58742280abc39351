# Install task services, such as Kubernetes, on servers.

use ../providers/local.nu

# Install a task service on the servers at these addresses.
#
# The first address becomes the control plane. Installing again replaces it.
export def create-taskserv [
    taskserv: string
    addresses: list<string>
    --version: string = "1.31"
] {
    let known = (local load-all servers | get ip)
    let unknown = ($addresses | where $it not-in $known)
    if ($addresses | is-empty) or ($unknown | is-not-empty) {
        error make --unspanned {msg: $"($taskserv) needs servers that exist; there is none at: ($unknown | str join ', ')"}
    }
    let total = ($addresses | length)
    for node in ($addresses | enumerate) {
        let role = if $node.index == 0 { "control plane" } else { "worker" }
        local phase $"($node.index)/($total)" $"installing ($taskserv) ($version) on ($node.item), ($role)"
    }
    let installed = {
        name: $taskserv
        version: $version
        endpoint: $"https://($addresses.0):6443"
        nodes: $addresses
    }
    $installed | local store taskservs $taskserv
    print $"PROGRESS: ($total)/($total) ($taskserv) is ready"
    $installed
}
