#!/usr/bin/env bash
# Instructions for one run of each scene of the pure core, counted by callgrind.
#
#   benches/instructions.sh [NAME …]      scenes whose names contain a NAME; all if left out
#
# Each scene runs N and 2N times; the difference over N is the count of one run, so what happens
# only the first time cancels out. Set-up is not counted at all.
set -euo pipefail
cd "$(dirname "$0")/.."

times=${TIMES:-1000}

if ! command -v valgrind >/dev/null; then
    echo "valgrind is not installed: instructions were not counted (on Debian: apt install valgrind)"
    exit 0
fi

built=$(${CARGO:-cargo} bench --locked --no-default-features --bench instructions --no-run 2>&1) ||
    { echo "$built" >&2; exit 1; }
program=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$built")

# count SCENE N: the instructions of N runs.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --collect-atstart=no --toggle-collect='instructions::repeat*' \
        "$program" "$1" "$2" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

wanted() {
    [ "$#" = 1 ] && return 0
    for part in "${@:2}"; do
        [[ $1 == *"$part"* ]] && return 0
    done
    return 1
}

printf '%-26s %14s\n' scene instructions
"$program" --list | while read -r scene; do
    wanted "$scene" "$@" || continue
    once=$(count "$scene" "$times")
    twice=$(count "$scene" $((2 * times)))
    printf '%-26s %14d\n' "$scene" $(((twice - once) / times))
done
