# fish completion for provctl
function _provctl_completion
    set -lx _PROVCTL_COMPLETE fish
    set -lx _PROVCTL_WORDS (string join \x1f -- (commandline -opc) (commandline -ct))
    set -l lines (command provctl 2>/dev/null)
    set -l rest $lines[1]
    set -e lines[1]
    if set -q lines[1]
        printf '%s\n' $lines
    end
    if contains -- "$rest" file dir
        set -l typed (commandline -ct)
        set -l flag (string match -r -- '^--[^=]*=' $typed)
        set -l path (string replace -r -- '^--[^=]*=' '' $typed)
        if test "$rest" = dir
            __fish_complete_directories "$path" '' | string replace -r '^' -- "$flag"
        else
            __fish_complete_path "$path" | string replace -r '^' -- "$flag"
        end
    end
end
complete --command provctl --no-files --keep-order --arguments '(_provctl_completion)'
