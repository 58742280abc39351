# The provider `aws`: instances of EC2, through the program `aws`.
#
#   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY   who pays, from the environment alone
#   AWS_DEFAULT_REGION                         where, if no zone says so
#   AWS_ENDPOINT_URL                           another endpoint than Amazon's
#   PROVISIONING_AWS_IMAGE                     the image; Amazon Linux 2023 if not set
#
# A server is an instance that is not terminated, by its tag Name.

use choice.nu

const IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"

# What `aws` answers; an error with its words if it fails.
def ask [region: string, words: list<string>] {
    let place = if $region == "" { [] } else { [--region $region] }
    let done = (^aws ...$words ...$place --output json | complete)
    if $done.exit_code != 0 {
        error make --unspanned {msg: $"aws ($words | first 2 | str join ' '): ($done.stderr | str trim)"}
    }
    $done.stdout | from json
}

# The region of a zone such as us-east-1a; nothing for the region of the environment.
def region-of [zone?: string]: nothing -> string {
    $zone | default "" | str replace --regex '[a-z]$' ""
}

# Instances that are there, maybe of one name.
def instances [region: string, name?: string] {
    let alive = [{Name: instance-state-name, Values: [pending running stopping stopped]}]
    let named = if $name == null { [] } else { [{Name: "tag:Name", Values: [$name]}] }
    let filters = ($alive ++ $named | to json --raw)
    ask $region [ec2 describe-instances --filters $filters]
    | get Reservations
    | each {|reservation| $reservation.Instances}
    | flatten
    | each {|instance| server-of $instance}
}

# An instance as a server.
def server-of [instance: record] {
    let tags = ($instance.Tags? | default [] | reduce --fold {} {|tag, all| $all | insert $tag.Key $tag.Value})
    {
        name: ($tags.Name? | default $instance.InstanceId)
        zone: $instance.Placement.AvailabilityZone
        plan: $instance.InstanceType
        ip: ($instance.PublicIpAddress? | default $instance.PrivateIpAddress?)
        status: $instance.State.Name
        created_at: ($instance.LaunchTime | into datetime | format date "%Y-%m-%dT%H:%M:%SZ")
        provider: aws
        id: $instance.InstanceId
        key: ($tags.provctl-key? | default "")
    }
}

# The server of a name, null if there is none. Of several, the one that was first.
export def find-server [name: string, --zone: string] {
    instances (region-of $zone) $name | sort-by created_at | get --optional 0
}

# All servers of a region.
export def all-servers [--zone: string] {
    instances (region-of $zone)
}

# Create a server and wait until it runs.
export def create-server [name: string, --zone: string, --plan: string] {
    let wanted = {name: $name, zone: $zone, plan: $plan}
    let existing = (find-server $name --zone=$zone)
    let id = if $existing == null {
        print $"PROGRESS: 10% asking for ($name)"
        start $wanted
    } else {
        choice check-same $existing $wanted
        print $"PROGRESS: 50% ($name) was there already"
        $existing.id
    }
    print $"PROGRESS: 60% ($id) is starting"
    let server = (choice until { find-server $name --zone=$zone | default {status: gone} } [running] --what $name)
    print "PROGRESS: 100% running"
    $server
}

# Ask for an instance; its id. The same task asks with the same token, and gets the same.
def start [wanted: record]: nothing -> string {
    let key = ($env.PROVCTL_IDEMPOTENCY_KEY? | default (random uuid))
    let tags = [{Key: Name, Value: $wanted.name} {Key: provctl-key, Value: $key}]
    let place = if $wanted.zone == null { [] } else { [--placement ({AvailabilityZone: $wanted.zone} | to json --raw)] }
    let words = [
        --image-id ($env.PROVISIONING_AWS_IMAGE? | default $IMAGE)
        --instance-type ($wanted.plan | default "t3.micro")
        --client-token ($key | hash sha256)
        --tag-specifications ([{ResourceType: instance, Tags: $tags}] | to json --raw)
        ...$place
    ]
    ask (region-of $wanted.zone) [ec2 run-instances ...$words] | get Instances.0.InstanceId
}

# Terminate a server and wait until it is gone.
export def delete-server [name: string, --zone: string]: nothing -> bool {
    let region = (region-of $zone)
    let ids = (instances $region $name | get id)
    if ($ids | is-empty) { return false }
    ask $region [ec2 terminate-instances --instance-ids ...$ids] | ignore
    print $"PROGRESS: 50% ($ids | str join ', ') is shutting down"
    let left = {|| if (instances $region $name | is-empty) { {status: gone} } else { {status: there} } }
    choice until $left [gone] --what $name | ignore
    true
}
