#!/usr/bin/env bash
# install.sh - installs what is missing of the packages in tools/packages.txt
#
# Usage: tools/install.sh [SECTION]...     (build, run, test, programs; all by default)
#
# Does nothing, not even apt-get update, when nothing is missing. Uses sudo when not root.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
list=$here/packages.txt

say() { printf 'install: %s\n' "$*"; }
die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# The packages of the sections given, one a line, each once.
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
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# apt-get with those arguments; again, up to twice, when that fails.
apt() {
    local attempt
    for attempt in 1 2 3; do
        # RUNLEVEL: invoke-rc.d then starts no service.
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get -q -o DPkg::Lock::Timeout=120 "$@"; then
            return 0
        fi
        if ((attempt < 3)); then
            say "apt-get $1 failed; trying again in $((attempt * 5)) s"
            sleep $((attempt * 5))
        fi
    done
    return 1
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
    die "this system has no apt-get; install by hand what is missing of: ${packages[*]}"
fi
missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    say "nothing is missing (${sections[*]}: ${#packages[@]} packages)"
    exit 0
fi

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        die "not root, and no sudo; ask root for: apt-get install ${missing[*]}"
    fi
    if ! sudo -n true 2>/dev/null && [[ ! -t 0 ]]; then
        die "sudo wants a password, and there is no terminal; run: sudo apt-get install ${missing[*]}"
    fi
    as_root=(sudo)
fi
say "installing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]}"
apt update || say "apt-get update failed; trying with the lists that are there"
apt install -y --no-install-recommends "${missing[@]}" \
    || die "apt-get could not install: ${missing[*]}"
say "done"
