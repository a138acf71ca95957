#!/usr/bin/env bash
# Instructions for one run of each scene of the pure core, counted by callgrind.
#
#   benches/instructions.sh [NAME …]      scenes whose names contain a NAME; all if left out
#   benches/instructions.sh --check       the walk's scenes, against instructions.txt: fails where
#                                         one needs over 5 % more than written there
#   benches/instructions.sh --write       writes instructions.txt anew
#
# Each scene runs N and 2N times; the difference over N is the count of one run, so what happens
# only the first time cancels out. Set-up is not counted at all.
set -euo pipefail
cd "$(dirname "$0")/.."

times=${TIMES:-1000}
baseline=benches/instructions.txt
compiler=$(rustc --version)

if ! command -v valgrind >/dev/null; then
    echo "valgrind is not installed: instructions were not counted (on Debian: apt install valgrind)"
    exit 0
fi

mode=show
case ${1:-} in
    --check) mode=check; set -- walk/ ;;
    --write) mode=write; set -- walk/ ;;
esac

# Another compiler makes other instructions: a comparison would say nothing.
if [ $mode = check ] && ! grep -qxF "# $compiler" $baseline; then
    echo "$baseline was written with $(sed -n 's/^# \(rustc.*\)/\1/p' $baseline), this is $compiler:"
    echo "instructions were not compared; benches/instructions.sh --write makes it anew"
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

if [ $mode = write ]; then
    exec >$baseline
    echo "# Instructions for one run of each scene; see instructions.sh."
    echo "# $compiler"
fi
[ $mode != write ] && printf '%-26s %14s\n' scene instructions
failed=0
while read -r scene; do
    wanted "$scene" "$@" || continue
    once=$(count "$scene" "$times")
    twice=$(count "$scene" $((2 * times)))
    counted=$(((twice - once) / times))
    verdict=
    if [ $mode = check ]; then
        known=$(awk -v scene="$scene" '$1 == scene { print $2 }' $baseline)
        if [ -z "$known" ]; then
            verdict="  not in $baseline"
        elif [ $((counted * 100)) -gt $((known * 105)) ]; then
            verdict="  over $known by more than 5 %"
            failed=1
        else
            verdict="  of $known"
        fi
    fi
    printf '%-26s %14d%s\n' "$scene" "$counted" "$verdict"
done < <("$program" --list)
exit $failed
