# List task services.

use ../providers/local.nu

# The task services there are, as a table.
export def list-taskservs [] {
    local load-all taskservs
}
