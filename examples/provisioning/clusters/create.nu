# Create clusters: applications on a Kubernetes that is there.

use ../providers/local.nu

# Deploy applications as a cluster. Deploying again replaces what is there.
export def create-cluster [
    name: string
    --endpoint: string # where Kubernetes answers
    --apps: list<string> = []
] {
    if $endpoint not-in (local load-all taskservs | get endpoint) {
        error make --unspanned {msg: $"no Kubernetes answers at ($endpoint)"}
    }
    let total = ($apps | length)
    for app in ($apps | enumerate) {
        local phase $"($app.index)/($total)" $"deploying ($app.item)"
    }
    let cluster = {
        name: $name
        endpoint: $endpoint
        apps: ($apps | each {|app| {name: $app, url: $"https://($app).($name).local"} })
    }
    $cluster | local store clusters $name
    print $"PROGRESS: 100% ($name) is ready"
    $cluster
}
