#!/bin/sh
# Makes up calls from the contracts and makes them, as a client with a certificate, at the gateway
# of `corgate demo`. Good: no answer that the contract does not have, and no 5xx at all, for the
# demo's bank answers well. Ends by itself. EXAMPLES is how many calls are made up for each
# operation, CORGATE the program.
set -eu
cd "$(dirname "$0")/.."

corgate=${CORGATE:-target/debug/corgate}
port=${PORT:-18443}
if ! command -v schemathesis >/dev/null; then
    echo "schemathesis is missing: python3 -m venv .venv && .venv/bin/pip install schemathesis,"
    echo "then put .venv/bin into PATH"
    exit 1
fi

folder=$(mktemp -d)
"$corgate" demo --dir "$folder" --port "$port" >"$folder/demo.txt" 2>&1 &
demo=$!
trap 'kill -INT $demo 2>/dev/null; wait $demo 2>/dev/null || true; rm -rf "$folder"' EXIT
until grep -q 'Still up' "$folder/demo.txt"; do
    kill -0 $demo || { cat "$folder/demo.txt"; exit 1; }
    sleep 0.2
done

# run NAME OPTIONS: all of the document. The demo's client may call 50 times a second.
run() {
    echo "== $1 =="
    shift
    (cd "$folder" && schemathesis --config-file "$folder/schemathesis.toml" run blink-fi.yaml \
        --url "https://localhost:$port/consent-flow/v2" --tls-verify "$folder/hub-ca.pem" \
        --request-cert "$folder/CIDX0000000001.pem" \
        --request-cert-key "$folder/CIDX0000000001.key" \
        --rate-limit 45/s --max-examples "${EXAMPLES:-100}" --no-color \
        --phases examples,coverage,fuzzing "$@")
}
# The document lists what the seed lists; besides, it says in words, the hub answers with errors of
# its own. They have to be OAuth errors, whatever their status.
sed "s|^      responses:\$|&\n        default:\n          \$ref: '#/components/responses/Error'|" \
    contracts/blink-fi.yaml >"$folder/blink-fi.yaml"
# What is broken enough for HTTP is refused by HTTP's own statuses, too.
cat >"$folder/schemathesis.toml" <<'END'
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "411", "413", "414", "415", "417", "431"]
END
# Whatever the document allows: most of it is another client's or for nobody, and refused as such.
# `missing_required_header` wants 401 for a missing `Authorization` whatever else is wrong; the walk
# looks at the target first.
run "everything is made up" --exclude-checks positive_data_acceptance,missing_required_header
# With this client and this bank, so that calls get further.
run "a known client and a known bank" --exclude-checks positive_data_acceptance \
    -H 'X-CorAPI-Client-ID: CIDX0000000001' -H 'X-CorAPI-Target-ID: IIDX00001'
