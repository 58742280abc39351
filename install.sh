#!/bin/sh
# Installs provctl for this account; see usage below. What it makes, in DATA, which is
# ${XDG_DATA_HOME:-~/.local/share}/provctl:
#
#   env.XXXXXX   an environment with provctl in it, one for each installation
#   current      a link to the one that counts; it is changed over once that is whole
#   bin/nu       Nushell, which provctl doctor --fix gets
#
# and links in ~/.local/bin, completions of shells beside DATA.
set -eu

usage() {
    cat <<'END'
Usage: ./install.sh [OPTIONS] [WHEEL|FILE]

Installs provctl for this account, or upgrades it, and runs an example: from this
checkout, from a wheel (.whl), or from the single file. It asks nothing, needs no
root, and writes into the home only (root: its commands go into /usr/local/bin).

Options:
  --provisioning  Install it under the name provisioning too.
  --no-example    Run no example afterwards.
  --uninstall     Remove what this script has made. Runs and settings stay.
  -h, --help      Show this help.

It takes uv where there is one, else Python 3.8 or newer with its module venv, of
3.11 to 3.13 if there is one. PYTHON=/path/to/python3 ./install.sh takes that one.
END
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$1" >&2
    printf 'help:  %s\n' "$2" >&2
    exit 1
}

main() {
    source='' python='' example=yes uninstall=no
    names='provctl provisioning-orchestrator'
    while [ $# -gt 0 ]; do
        case $1 in
            --provisioning) names="$names provisioning" ;;
            --no-example) example=no ;;
            --uninstall) uninstall=yes ;;
            -h | --help) usage && exit ;;
            -*) fail "unknown option $1" "./install.sh --help" ;;
            *) source=$1 ;;
        esac
        shift
    done
    checkout=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
    [ -n "${HOME:-}" ] || fail "HOME is not set" "set it to the home of this account"
    unset PYTHONHOME PYTHONPATH
    share=$HOME/.local/share bin=$HOME/.local/bin
    case ${XDG_DATA_HOME:-} in /*) share=$XDG_DATA_HOME ;; esac
    [ "$(id -u)" != 0 ] || bin=/usr/local/bin
    data=$share/provctl
    if [ $uninstall = yes ]; then
        remove_all
    else
        install
    fi
}

# -- installing ------------------------------------------------------------------

install() {
    look_at_source
    ! is_ours "$bin/provisioning" || names="$names provisioning"
    for name in $names; do
        if exists "$bin/$name" && ! is_ours "$bin/$name"; then
            fail "$bin/$name is there, and this script has not made it" \
                "move it away, then run this again"
        fi
    done
    [ $kind = single ] || choose_maker
    mkdir -p "$data" "$bin" 2>/dev/null && [ -w "$data" ] && [ -w "$bin" ] ||
        fail "cannot write into $data and $bin" "make them writable for this account"
    env=$(mktemp -d "$data/env.XXXXXX")
    trap 'rm -rf "$env"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod go+rx "$env"
    case $kind in
        single) put_single_file ;;
        *) make_environment ;;
    esac
    version=$("$env/bin/provctl" --version) ||
        fail "what was installed does not run" "see what it says above"
    change_over
    trap - EXIT
    for name in $names; do
        ln -sfn "$data/current/bin/$(program_of "$name")" "$bin/$name"
    done
    remove_earlier
    put_completions
    say "installed: $version, as $bin/provctl"
    finish
}

look_at_source() {
    case $source in
        '')
            kind=checkout
            [ -e "$checkout/pyproject.toml" ] && [ -d "$checkout/provctl" ] ||
                fail "$checkout is not a checkout of provctl" \
                    "name a wheel or the single file: ./install.sh FILE"
            return
            ;;
        *.whl) kind=wheel ;;
        *) kind=single ;;
    esac
    [ -f "$source" ] || fail "file $source not found" "./install.sh --help"
    case $source in /*) ;; *) source=$PWD/$source ;; esac
}

put_single_file() {
    mkdir "$env/bin"
    cp "$source" "$env/bin/provctl"
    chmod 755 "$env/bin/provctl"
    ln -s provctl "$env/bin/provisioning-orchestrator"
}

# Sets `python`; it stays empty where uv finds one, or gets one.
choose_maker() {
    [ -z "${PYTHON:-}" ] && command -v uv >/dev/null || find_python
}

make_environment() {
    say "installing provctl into $data, with ${python:-uv}"
    if [ -z "$python" ]; then
        uv venv -q --no-project --seed --python '>=3.11,<3.14' "$env" ||
            fail "uv could not make an environment" \
                "see what it says above; without uv: PYTHON=python3 ./install.sh"
    else
        "$python" -m venv "$env" || fail "$python could not make an environment" \
            "see what it says above; PYTHON=/path/to/python3 ./install.sh takes another"
    fi
    if [ $kind = checkout ]; then
        # A copy, for a build writes into its source.
        source=$env/source
        mkdir "$source"
        cp -R "$checkout/provctl" "$checkout/pyproject.toml" "$checkout/README.md" \
            "$checkout/LICENSE" "$source"
    fi
    for kcl in "$data"/current/lib/python*/site-packages/kcl_lib; do
        [ ! -d "$kcl" ] || source="$source[kcl]" # what was added stays over upgrades
    done
    if [ -z "$python" ]; then
        uv pip install -q --python "$env/bin/python" "$source"
    else
        PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 "$env/bin/python" -m pip install -q \
            --disable-pip-version-check "$source"
    fi || fail "provctl and the packages that it needs could not be installed" \
        "see the output above; check the network and the package index"
    rm -rf "$env/source"
}

# Sets `python`: one of 3.11 to 3.13, for which there is Nickel, or else any that does.
find_python() {
    works='' bare='' old=''
    set -- python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python
    [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
    for python; do
        case $(judge "$python") in
            fits) return ;;
            works) works=${works:-$python} ;;
            bare) bare=${bare:-$python} ;;
            old) old=${old:-$python} ;;
        esac
    done
    python=$works
    [ -z "$works" ] || return 0
    [ -z "$bare" ] || fail "$bare is here without its module venv" \
        "as root: apt-get install python3-venv (or what your system calls it); or install uv"
    [ -z "$old" ] || fail "$old is older than 3.8, the oldest Python that provctl runs on" \
        "install a newer Python, or uv; PYTHON=/path/to/python3 ./install.sh takes that one"
    fail "Python not found${PYTHON:+: $PYTHON}" \
        "install Python 3.11 to 3.13, or uv"
}

judge() {
    "$1" -c '
import sys
version = sys.version_info[:2]
try:
    import ensurepip, venv
    whole = True
except ImportError:
    whole = False
if version < (3, 8):
    print("old")
elif not whole:
    print("bare")
else:
    print("fits" if (3, 11) <= version < (3, 14) else "works")
' 2>/dev/null </dev/null || say none
}

# From now on the new environment counts: one rename, so there is always a whole one.
change_over() {
    ln -s "${env##*/}" "$data/.current.$$"
    mv -fT "$data/.current.$$" "$data/current" 2>/dev/null || # GNU, busybox
        mv -fh "$data/.current.$$" "$data/current"            # BSD, macOS
}

remove_earlier() {
    for earlier in "$data"/env.*; do
        if [ "$earlier" = "$env" ]; then
            continue
        elif is_in_use "$earlier"; then
            say "the earlier version still runs; for its scheduler: provctl scheduler restart"
        else
            rm -rf "$earlier"
        fi
    done
}

# -- what comes afterwards ---------------------------------------------------------

finish() {
    program=$bin/provctl code=0
    checks=$("$program" doctor --fix) || code=$?
    [ $code = 0 ] || say "$checks"
    if [ $example = yes ] && [ -e "$checkout/examples/$EXAMPLE" ]; then
        if [ $code = 52 ]; then
            tell_path
            fail "provctl is installed, but the example needs what is missing above" \
                "install what is missing and run this again; command tasks need no Nushell"
        fi
        cd "$checkout"
        say "$ provctl run examples/$EXAMPLE"
        code=0
        "$program" workflow run "examples/$EXAMPLE" || code=$?
    fi
    tell_path
    exit $code
}

EXAMPLE=multi-cloud-deployment.ncl

tell_path() {
    there=$(command -v provctl) || there=''
    case :$PATH: in
        *:"$bin":*)
            [ "$there" = "$program" ] || [ -z "$there" ] ||
                say "note: on PATH there is another provctl first: $there"
            return
            ;;
    esac
    # The words are for the reader's shell.
    # shellcheck disable=SC2016
    case $bin in
        /usr/local/bin) line='export PATH="/usr/local/bin:$PATH"' ;;
        *) line='export PATH="$HOME/.local/bin:$PATH"' ;;
    esac
    say "provctl is not on PATH yet. Run this line, and add it to ~/.profile:  $line"
}

# -- completion --------------------------------------------------------------------

# Calls its arguments with a name, a shell, and the file that this shell loads by itself.
for_completions() {
    for name in provctl provisioning; do
        "$@" $name bash "$share/bash-completion/completions/$name"
        "$@" $name fish "$share/fish/vendor_completions.d/$name.fish"
        "$@" $name zsh "$share/zsh/site-functions/_$name" # if that is in its fpath
        "$@" $name nu "$share/nushell/vendor/autoload/$name.nu"
    done
}

put_completions() {
    for_completions put_completion
    case ${SHELL:-} in
        */zsh) say "for completion in zsh, in ~/.zshrc before compinit:  fpath=($share/zsh/site-functions \$fpath)" ;;
    esac
}

put_completion() {
    is_ours "$bin/$1" && command -v "$2" >/dev/null || return 0
    ! exists "$3" || is_completion "$3" || return 0
    mkdir -p "${3%/*}" 2>/dev/null && "$bin/$1" completion "$2" >"$3" ||
        say "note: no completion for $2, for $3 cannot be written"
}

remove_completion() {
    ! is_completion "$3" || rm -f "$3"
}

is_completion() {
    grep -qs _PROVCTL_COMPLETE "$1"
}

# -- removing ----------------------------------------------------------------------

remove_all() {
    for each in "$data"/env.*; do
        ! is_in_use "$each" || fail "provctl still runs from $each" \
            "see: provctl ps; then: provctl scheduler stop, and run this again"
    done
    for name in $names provisioning; do
        ! is_ours "$bin/$name" || rm -f "$bin/$name"
    done
    for_completions remove_completion
    rm -rf "$data"/env.* "$data/current" "$data"/.current.* \
        "$data/bin/nu" "$data/bin/.new" "$data/bin/.lock"
    rmdir "$data/bin" "$data" 2>/dev/null || :
    say "removed; runs and settings stay, in ~/.local/state/provctl and ~/.config/provctl or where you keep them"
}

# -- small questions -----------------------------------------------------------------

exists() {
    [ -e "$1" ] || [ -L "$1" ]
}

# Whether it is a link that this script has made.
is_ours() {
    [ -L "$1" ] || return 1
    case $(readlink "$1") in "$data"/*) return 0 ;; esac
    return 1
}

program_of() {
    case $1 in
        provisioning) say provctl ;;
        *) say "$1" ;;
    esac
}

# Whether any process was started from this environment.
is_in_use() {
    {
        if [ -r /proc/self/cmdline ]; then
            cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' '
        else
            ps -A -o args=
        fi
        echo
    } | {
        while IFS= read -r line; do
            case $line in *"$1/bin/"*) exit 0 ;; esac
        done
        exit 1
    }
}

main "$@"
