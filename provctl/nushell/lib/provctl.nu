# What a task says of itself, keeps, and knows of the others.
#
#     use provctl.nu
#     provctl progress 3/7 "pulling images"
#
# Everything said goes to stderr: stdout is for data.

export use provctl/client.nu *

const MOST = 262144  # bytes that an output or a checkpoint may take

# Say how far the task is: 40 (percent), "3/7", or null where nobody knows.
export def progress [
    done: any  # 40, "40%", "3/7" or null
    message: string = ""  # what it is doing
] {
    let text = $message | one-line
    if $done == null {
        # As JSON, or a text that begins with a number would be taken for percent.
        print --stderr $"PROGRESS: ({message: $text} | to json --raw)"
    } else if ($"($done)" =~ '^\d+(\.\d+)?(\s*%|\s*/\s*\d+(\.\d+)?)?$') {
        print --stderr ($"PROGRESS: ($done) ($text)" | str trim)
    } else {
        error make {
            msg: "progress is percent (40), a part of a whole (3/7) or null"
            label: {text: "not one of these", span: (metadata $done).span}
        }
    }
}

# Put a warning into the log of the task.
export def warn [message: string] {
    print --stderr $"WARNING: ($message | one-line)"
}

# Set the output of the task; a value that it returns afterwards replaces it.
export def output [value: any] {
    let file = $env.PROVCTL_OUTPUT_FILE?
    if $file == null {
        error make --unspanned {msg: "provctl output: only a task that is a call or a script has an output"}
    }
    $value | as-json "the output" | write $file
}

# Keep a value for the next try of this task; without one, return what was kept.
export def checkpoint [
    value?: any  # kept instead of what was kept before
] {
    let file = $env.PROVCTL_CHECKPOINT_FILE?
    if $value == null {
        return (if $file != null and ($file | path exists) { open --raw $file | from json })
    }
    if $file == null {
        error make --unspanned {msg: "provctl checkpoint: this is not a task, nothing could read it again"}
    }
    $value | as-json "the checkpoint" | write $file
}

# What the tasks returned that this one needs, by the names it calls them.
export def needs [] {
    let outputs = $env.PROVCTL_NEEDS?
    if $outputs == null {
        error make --unspanned {msg: "provctl needs: only a task that is a call or a script is given outputs"}
    }
    $outputs
}

def one-line []: string -> string {
    str replace --all --regex '[[:cntrl:]]+' ' ' | str trim
}

def as-json [what: string] {
    let value = $in
    let text = try { let text = ($value | to json --raw); $text } catch {|err|
        let why = $err.details?.labels?.0?.text? | default $err.msg
        error make --unspanned {msg: $"($what) cannot become JSON: ($why)"}
    }
    if ($text | str length) > $MOST {
        error make --unspanned {msg: $"($what) is larger than ($MOST) bytes of JSON"}
    }
    $text
}

# All of it or nothing, and for nobody else to read: mktemp makes the file 0600.
def write [file: string] {
    let text = $in
    let draft = mktemp --tmpdir-path ($file | path dirname) $"($file | path basename).XXXXXX"
    $text | save --raw --force $draft
    mv --force $draft $file
}
