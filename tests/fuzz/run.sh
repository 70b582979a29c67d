#!/bin/sh
# run.sh [SECONDS [NAME [BUILD]]] - fuzz for that long, with what was found before
#
# NAME is region, options, unwind, api or request; BUILD the build directory, ./build when not given. Inputs
# that find something new are kept in BUILD/tests/fuzz/corpus-NAME, crashes next to it.
# A crash belongs into tests/fuzz/regressions/NAME when it is mended.
set -eu
seconds=${1:-600}
name=${2:-region}
here=$(cd "$(dirname "$0")" && pwd)
cd "${3:-build}/tests/fuzz"
mkdir -p "corpus-$name" "seeds-$name"
if [ "$name" = region ]; then
    ./make_corpus "seeds-$name"
    length=262144
else
    cp "$here"/seeds/"$name"/* "seeds-$name"
    length=4096
fi
[ "$name" != api ] || length=500 # bytes are steps: few are read
known="$here/regressions/$name"
[ -d "$known" ] || known=
# The regressions once, so that they cannot be left out; then the search.
[ -z "$known" ] || "./fuzz_$name" -timeout=20 -rss_limit_mb=2048 "$known"/* 2>"fuzz-$name.log" || {
    tail -40 "fuzz-$name.log" >&2
    exit 1
}
if ! "./fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 \
        -max_len="$length" -len_control=0 -print_final_stats=1 \
        -artifact_prefix="$PWD/crash-$name-" \
        "corpus-$name" "seeds-$name" ${known:+"$known"} 2>"fuzz-$name.log"; then
    tail -60 "fuzz-$name.log" >&2
    exit 1
fi
grep -E "^Done|DONE|stat::(number|average|peak)" "fuzz-$name.log"
