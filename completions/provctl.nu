# Nushell completion for provctl
def "nu-complete provctl" [words: list<string>] {
    let asked = {
        _PROVCTL_COMPLETE: nu
        _PROVCTL_WORDS: ($words | str join (char unit_separator))
    }
    let answer = with-env $asked { ^provctl | complete | get stdout }
    if ($answer | is-empty) { [] } else { $answer | from json }
}

@complete "nu-complete provctl"
export extern provctl []
