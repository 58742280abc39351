# The token that the scheduler asks for on TCP.

# Given by the environment, or read where only the same user can. Without an
# endpoint from the environment nobody knows who listens there, so none is read.
export def main [] {
    let file = if $env.PROVCTL_ENDPOINT? != null { $env.PROVCTL_STATE_DIR? }
    if $env.PROVCTL_TOKEN? != null {
        $env.PROVCTL_TOKEN
    } else if $file != null {
        try { open --raw ($file | path join scheduler token) | str trim }
    }
}
