#!/usr/bin/env bash
# install.sh - installs what is missing of the packages in tools/packages.txt
#
# Usage: tools/install.sh [SECTION]...     (build, run, test, programs; all by default)
#
# Does nothing, not even apt-get update, when nothing is missing. Uses sudo when not root.
# Then npm fetches what its lock files name: for build what tools/web draws charts with (the
# build does without it), for test what drives the browser of tests/web, and what decodes
# OTLP in tests/push, and the schemas of tests/deploy.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
list=$here/packages.txt

say() { printf 'install: %s\n' "$*"; }
die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# The packages of the sections given, one a line, each once. NAME/COMMAND is a package that is
# not needed where the command is there, from wherever.
packages_of() {
    local section='' line name wanted
    while IFS= read -r line || [[ -n $line ]]; do
        line=${line%%#*}
        read -r name _ <<<"$line" || true
        case $name in
        '') ;;
        '['*']') section=${name:1:-1} ;;
        *)
            for wanted in "$@"; do
                if [[ $section == "$wanted" ]]; then
                    printf '%s\n' "$name"
                fi
            done
            ;;
        esac
    done <"$list" | sort -u
}

is_installed() {
    [[ $1 == */* ]] && command -v "${1#*/}" >/dev/null && return
    [[ $(dpkg-query -W -f '${db:Status-Status}' "${1%/*}" 2>/dev/null) == installed ]]
}

# The command; again, up to twice, when it fails.
thrice() { # NAME COMMAND...
    local name=$1 attempt
    shift
    for attempt in 1 2 3; do
        if "$@"; then
            return 0
        fi
        if ((attempt < 3)); then
            say "$name failed; trying again in $((attempt * 5)) s"
            sleep $((attempt * 5))
        fi
    done
    return 1
}

# RUNLEVEL: invoke-rc.d then starts no service.
apt() {
    thrice "apt-get $1" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get -q -o DPkg::Lock::Timeout=120 "$@"
}

# What package-lock.json of a folder names, when that is not there or of an older lock. No
# script of a package is run.
npm_install() { # FOLDER
    local folder=$1
    [[ ! $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]] || return 0
    command -v npm >/dev/null || return 1
    say "fetching what $folder/package-lock.json names"
    thrice "npm ci" npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund \
        --loglevel=error || return 1
    touch "$folder/node_modules/.package-lock.json"
}

is_wanted() { # SECTION
    [[ " ${sections[*]} " == *" $1 "* ]]
}

npm_install_all() {
    if is_wanted build && ! npm_install "$here/web"; then
        say "npm could not fetch uPlot: the page of mpalloc serve draws plain charts"
        ! is_wanted test || die "tests want those of uPlot; run again: npm ci --prefix tools/web"
    fi
    if is_wanted test && ! npm_install "$here/../tests/web"; then
        die "npm could not fetch playwright-core; run again: npm ci --prefix tests/web"
    fi
    if is_wanted test && ! npm_install "$here/../tests/push"; then
        die "npm could not fetch otlp-transformer; run again: npm ci --prefix tests/push"
    fi
    if is_wanted test && ! npm_install "$here/../tests/deploy"; then
        die "npm could not fetch kubernetes-models; run again: npm ci --prefix tests/deploy"
    fi
}

case ${1-} in
-h | --help)
    sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
sections=("$@")
if (($# == 0)); then
    sections=(build run test programs)
fi
for section in "${sections[@]}"; do
    if ! grep -qxF "[$section]" "$list"; then
        printf "install: no section '%s' in %s (see --help)\n" "$section" "$list" >&2
        exit 2
    fi
done

mapfile -t packages < <(packages_of "${sections[@]}")
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "this system has no apt-get; install by hand what is missing of: ${packages[*]%/*}"
fi
missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    say "nothing is missing (${sections[*]}: ${#packages[@]} packages)"
    npm_install_all
    exit 0
fi

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        die "not root, and no sudo; ask root for: apt-get install ${missing[*]%/*}"
    fi
    if ! sudo -n true 2>/dev/null && [[ ! -t 0 ]]; then
        die "sudo wants a password, and there is no terminal; run: sudo apt-get install ${missing[*]%/*}"
    fi
    as_root=(sudo)
fi
say "installing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]%/*}"
apt update || say "apt-get update failed; trying with the lists that are there"
apt install -y --no-install-recommends "${missing[@]%/*}" \
    || die "apt-get could not install: ${missing[*]%/*}"
npm_install_all
say "done"
