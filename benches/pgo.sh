#!/usr/bin/env bash
# Builds target/pgo/corgate: the release build, arranged by what the calls of bench-rivals run
# through (profile-guided optimisation). Three steps of some minutes each: a build that counts, the
# calls, and a build that knows the counts. Needs what bench-rivals needs (HAProxy is the bank, wrk
# and h2load the clients), and LLVM's tools of this compiler: rustup component add llvm-tools.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
host=$(rustc -vV | sed -n 's/^host: //p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
if [ ! -x "$profdata" ] && command -v rustup >/dev/null; then
    rustup component add llvm-tools || true
fi
if [ ! -x "$profdata" ]; then
    echo "llvm-profdata is missing: rustup component add llvm-tools"
    exit 1
fi

folder=$PWD/target/pgo
counts=$folder/counts
mkdir -p "$folder"
rm -rf "$counts"

# build FLAGS: with a target named, so that build scripts and macros are not counted too.
build() {
    CARGO_ENCODED_RUSTFLAGS=$1 $cargo build --locked --release --target "$host" --target-dir "$folder/build"
}

build "-Cprofile-generate=$counts"
cp "$folder/build/$host/release/corgate" "$folder/counting"
python3 benches/rivals/run.py --quick --install --proxies=corgate --corgate="$folder/counting" \
    --out="$folder/training"
"$profdata" merge --output="$folder/corgate.profdata" "$counts"
build "-Cprofile-use=$folder/corgate.profdata"
cp "$folder/build/$host/release/corgate" "$folder/corgate"
rm -rf "$counts" "$folder/counting"
echo "built: target/pgo/corgate"
