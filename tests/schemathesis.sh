#!/bin/sh
# Makes up calls from the five documents of contracts/, which the gateway of `corgate demo` serves to
# clients, and makes them there, as a client with a certificate. Good: no answer that the document
# does not have, and no 5xx at all, for the demo's banks answer well. The documents are taken as they
# are. Ends by itself, with 1 if anything was found. EXAMPLES is how many calls are made up for each
# operation, CORGATE the program.
set -eu
cd "$(dirname "$0")/.."

contracts=$PWD/contracts
corgate=${CORGATE:-target/debug/corgate}
port=${PORT:-18443}
for tool in schemathesis curl; do
    command -v $tool >/dev/null && continue
    echo "$tool is missing. For schemathesis: python3 -m venv .venv && .venv/bin/pip install schemathesis,"
    echo "then put .venv/bin into PATH"
    exit 1
done

folder=$(mktemp -d)
"$corgate" demo --dir "$folder" --port "$port" >"$folder/demo.txt" 2>&1 &
demo=$!
trap 'kill -INT $demo 2>/dev/null; wait $demo 2>/dev/null || true; rm -rf "$folder"' EXIT
until grep -q 'Still up' "$folder/demo.txt"; do
    kill -0 $demo || { cat "$folder/demo.txt"; exit 1; }
    sleep 0.2
done
cd "$folder"
# Its own calls, of which some have to fail, are not looked at. Lines are written within 200 ms.
sleep 1
story=$(wc -l <access.log)
client=CIDX0000000001
found=0

# run TITLE DOCUMENT BASE OPTIONS: calls of the document below the base path. The demo's client may
# call 50 times a second. The rules are those of schemathesis.toml, or of another RULES.
run() {
    echo "== $2: $1 =="
    document=$2 base=$3
    shift 3
    schemathesis --config-file "${rules:-schemathesis.toml}" run "$contracts/$document.yaml" \
        --url "https://localhost:$port$base" --tls-verify hub-ca.pem \
        --request-cert $client.pem --request-cert-key $client.key \
        --rate-limit 45/s --max-examples "${EXAMPLES:-100}" --no-color --continue-on-failure \
        --phases examples,coverage,fuzzing "$@" || found=1
}
# fetch PATH PARAMETERS: an access token from a system's own token endpoint, through the gateway.
fetch() {
    path=$1
    shift
    curl -sS --fail --cacert hub-ca.pem --cert $client.pem --key $client.key \
        "https://localhost:$port$path" "$@" >token.json
    token=$(sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p' token.json)
    [ -n "$token" ] || { echo "no token came from $path"; exit 1; }
}

cat >schemathesis.toml <<END
# Redirects are the caller's to follow, and lead to nobody here.
max-redirects = 0

# What is broken enough for HTTP is refused by HTTP's own statuses, too.
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "411", "413", "414", "415", "417", "431"]

# Documents say how long one value may be; that a call is small as a whole is the hub's limit.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "413", "414", "429", "431", "5xx"]

# Both checks want 401 where there is no token. Flinks answers 400 there, and the document says so
# (x-corgate-failures); tests/it/native_flinks.rs sees to it that nothing passes without one.
[[operations]]
include-path-regex = "^/api/v[12]/providers"
checks.missing_required_header.enabled = false
checks.ignored_auth.enabled = false

# The same, and the token that is good for the others belongs to no connection that it could revoke.
[[operations]]
include-operation-id = ["flinksRevoke", "flinksRevokePost"]
checks.missing_required_header.enabled = false
checks.ignored_auth.enabled = false
checks.positive_data_acceptance.enabled = false

# Good for a known client and one of its redirect URIs alone. Then refusals are redirects there, and
# a redirect need not have a page: the document names its type for browsers' `Accept`.
[[operations]]
include-operation-id = "flinksAuthorize"
parameters = { "query.client_id" = "$client", "query.redirect_uri" = "https://app.example/cb" }
checks.negative_data_rejection.expected-statuses = ["302", "400", "405", "406", "411", "414", "431"]
checks.content_type_conformance.enabled = false

# The simulated Konsentus has one of the two grants, and refuses the other; the first of these wants
# a second credential, \`ccg_token\`, which is made up here.
[[operations]]
include-operation-id = ["konsentusObieTokens", "konsentusOauth2Tokens"]
checks.positive_data_acceptance.enabled = false

# The token that is good for the others is the hub's own, and no user's.
[[operations]]
include-operation-id = "oxlinMe"
checks.positive_data_acceptance.enabled = false

# What these call a form is read as JSON (x-corgate-read-as), because the system's own samples send
# it so. The fuzzer makes real forms of it, which are refused.
[[operations]]
include-operation-id = [
    "oxlinWidgetSession", "oxlinAuthorizeUrl", "oxlinAuthorizeUrlByChannel", "oxlinCreateKey",
    "oxlinSubscribe", "oxlinCreateConnection", "oxlinConsents", "oxlinUpdateChannel",
    "oxlinUserInput", "oxlinUpdateCredential", "oxlinCreateUser",
]
checks.positive_data_acceptance.enabled = false
END

# The same for a caller whose credentials are good: being refused for them would be a finding.
sed '/^\[checks.positive_data_acceptance\]/,/^$/s/"401", "403", //' schemathesis.toml >good.toml
if cmp -s schemathesis.toml good.toml; then
    echo "good.toml is no other than schemathesis.toml"
    exit 1
fi

# Excluded wherever everything is made up: what the document allows is mostly another client's or for
# nobody, and refused as such. With credentials that are good, further below, it is looked at; no
# NUL then, which is never good and which no schema forbids.
made_up="--exclude-checks positive_data_acceptance"
good="--generation-allow-x00 false"

for document in blink-fi blink-six; do
    case $document in
        blink-fi) base=/consent-flow/v2 ;;
        blink-six) base=/six/consent-flow/v2 ;;
    esac
    # `missing_required_header` wants 401 for a missing `Authorization` whatever else is wrong; the
    # walk looks at the target first.
    run "everything is made up" $document $base $made_up,missing_required_header
    # With this client and this bank, so that calls get further. The code or token of a good call is
    # one that the bank has never given out: its 400 is right, and no schema can say so.
    run "a known client and a known bank" $document $base $made_up \
        -H "X-CorAPI-Client-ID: $client" -H 'X-CorAPI-Target-ID: IIDX00001'
done

run "everything is made up" konsentus /konsentus $made_up
rules=good.toml
run "the FI's own credentials" konsentus /konsentus $good -H "Authorization: Basic $(cat fjord.basic)"

rules=
run "everything is made up" flinks /flinks $made_up
rules=good.toml
run "a known client" flinks /flinks $good --include-path /api/v1/authorize
fetch /flinks/api/v1/token -d grant_type=client_credentials \
    -d client_id=dc-hub --data-urlencode client_secret@maple.secret
run "a good token" flinks /flinks $good --exclude-path /api/v1/authorize \
    --exclude-path /api/v1/token -H "Authorization: Bearer $token"

rules=
run "everything is made up" oxlin /oxlin/api $made_up
rules=good.toml
fetch /oxlin/auth/token -d grant_type=client_credentials \
    -d scope=users_create -d client_id=oxlin-hub --data-urlencode client_secret@vigne.secret
# Not the widget's pages, which a browser opens without a token.
run "a good token" oxlin /oxlin/api $good --exclude-path /token --exclude-path-regex '^/widget/' \
    -H "Authorization: Bearer $token"
rules=
run "the authorization server" oxlin /oxlin/auth --include-path /token $made_up

# No bank fails there, so the hub has no reason to.
failures=$(sed "1,${story}d" access.log | grep -c '"status":5' || true)
[ "$failures" = 0 ] || { echo "$failures answers were 5xx"; found=1; }

# A range such as 4XX is no leave for every status in it: each that was seen has to stand in some
# document, at least in its words about what the hub answers.
echo "== statuses of all answers =="
# A line without an answer (a client that left) has no source.
sed "1,${story}d" access.log | sed -n 's/.*"status":\([0-9]*\),"source":"\([A-Z]*\)".*/\1 \2/p' |
    sort | uniq -c | tee statuses.txt
while read -r _ status _; do
    cat "$contracts"/*.yaml | grep -qw "$status" || { echo "$status is in no document"; found=1; }
done <statuses.txt
exit $found
