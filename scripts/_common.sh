# Sourced by the scripts: where the project is, which Pythons there are, and virtual environments made on first use.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Prints minor version, patch and path of a CPython that we can use; nothing for any other.
probe='
import ensurepip, platform, sys, sysconfig, venv
version = sys.version_info
usable = platform.python_implementation() == "CPython" and version >= (3, 11) and version.releaselevel == "final"
if usable and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(version.minor, version.micro, sys.executable, sep="\t")
'

# The executables that may be a usable Python: those on PATH, then those of pyenv.
candidates() {
    local folders=() pyenv=${PYENV_ROOT:-}
    IFS=: read -ra folders <<<"$PATH"
    if [ -z "$pyenv" ]; then
        pyenv=$(pyenv root 2>/dev/null) || pyenv=${HOME:-}/.pyenv
    fi
    local folder name
    for folder in "${folders[@]}" "$pyenv"/versions/*/bin; do
        for name in "$folder"/python3 "$folder"/python3.1[1-9] "$folder"/python3.[2-9][0-9]; do
            if [ -x "$name" ]; then printf '%s\n' "$name"; fi
        done
    done
}

# The paths of all usable Pythons: one for each minor version, its highest patch, oldest version first.
pythons() {
    local python
    while read -r python; do
        "$python" -I -c "$probe" 2>/dev/null || true
    done < <(candidates) | sort -k1,1n -k2,2nr | awk -F '\t' '!seen[$1]++ { print $3 }'
}

# The Python for everyday use: python3 if it is usable, else the newest that is.
default_python() {
    local found=''
    found=$(python3 -I -c "$probe" 2>/dev/null | cut -f 3) || true
    [ -n "$found" ] || found=$(pythons | tail -n 1)
    if [ -z "$found" ]; then
        die "totohio needs CPython 3.11 or newer with its venv module, and there is none here." \
            "On Debian and Ubuntu:  sudo apt-get install python3 python3-venv"
    fi
    printf '%s\n' "$found"
}

# What an environment was installed from; it is made anew when this changes.
fingerprint() {
    printf '%s\n' "$root" "$1"
    cat "$root/pyproject.toml"
}

# installed FOLDER EXTRAS: tell whether totohio is there with these extras as pyproject.toml is now.
installed() {
    [ -x "$1/bin/python" ] && [ "$(cat "$1/installed-$2" 2>/dev/null)" = "$(fingerprint "$2")" ]
}

# provide FOLDER EXTRAS [PYTHON]: have totohio and these extras in a virtual environment; at once if they are there.
provide() {
    local folder=$1 extras=$2 python=${3:-}
    if installed "$folder" "$extras" && "$folder/bin/python" -c '' 2>/dev/null; then return; fi
    [ -n "$python" ] || python=$(default_python)
    printf 'Installing totohio[%s] into %s ...\n' "$extras" "$folder" >&2
    if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then "$python" -m venv --clear "$folder"; fi
    "$folder/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --editable "${root}[$extras]"
    fingerprint "$extras" >"$folder/installed-$extras"
}

# other_pythons: a line for each usable Python beside that of .venv: its minor version and its path, oldest first.
other_pythons() {
    local first=.venv/bin/python minor python
    if [ ! -x "$first" ]; then first=$(default_python); fi
    first=$("$first" -c 'import sys; print(sys.version_info.minor)')
    while read -r python; do
        minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
        if [ "$minor" != "$first" ]; then printf '%s %s\n' "$minor" "$python"; fi
    done < <(pythons)
}

# provide_others EXTRAS: have an environment for each of these, all made at the same time.
provide_others() {
    local minor python install installs=()
    while read -r minor python; do
        provide ".venvs/3.$minor" "$1" "$python" &
        installs+=($!)
    done < <(other_pythons)
    for install in "${installs[@]}"; do wait "$install"; done
}
