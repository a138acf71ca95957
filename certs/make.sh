#!/bin/sh
# Makes development certificates with openssl, the set that certs/README.md describes.
# Usage: certs/make.sh [FOLDER]      (certs/dev if left out; what is there is replaced)
# NEVER use them in production: keys lie in plain files, and nobody checks who asks.
set -eu
umask 077

folder=${1:-$(dirname "$0")/dev}
days=30
mkdir -p "$folder"
cd "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# key NAME: a P-256 key, labelled. Readers of PEM pass over what stands before -----BEGIN.
key() {
    {
        echo "# corgate DEVELOPMENT key: never use it in production."
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null
    } >"$1.key"
}

# authority NAME TITLE: a self-signed CA that signs certificates and revocation lists.
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -days "$days" -out "$1.pem" \
        -subj "/O=DEVELOPMENT ONLY/CN=corgate development $2" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# certify NAME COMMON-NAME CA EXTENSIONS: a certificate for one end of a connection.
certify() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/O=DEVELOPMENT ONLY/CN=$2" -out "$work/csr"
    {
        echo "basicConstraints = critical, CA:FALSE"
        echo "keyUsage = critical, digitalSignature"
        echo "authorityKeyIdentifier = keyid"
        printf '%s\n' "$4"
    } >"$work/ext"
    openssl x509 -req -in "$work/csr" -CA "$3.pem" -CAkey "$3.key" -days "$days" \
        -set_serial "0x4$(openssl rand -hex 15)" -extfile "$work/ext" -out "$1.pem" 2>/dev/null
}

# server NAME COMMON-NAME CA [MORE-NAMES]
server() {
    certify "$1" "$2" "$3" "extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1${4:+, $4}"
}

# client NAME COMMON-NAME CA
client() {
    certify "$1" "$2" "$3" "extendedKeyUsage = clientAuth"
}

authority hub-ca "hub CA"
authority clients-ca "clients CA"
authority banks-ca "banks CA"
authority stranger-ca "stranger CA"

server edge "corgate development edge" hub-ca
client hub "corgate development hub" hub-ca
server alpine alpine banks-ca DNS:alpine.bank.test
server lakeside lakeside banks-ca DNS:lakeside.bank.test
for id in CIDX0000000001 CIDX0000000002 CIDX0000000003; do
    client "$id" "$id" clients-ca
done
client stranger CIDX0000000001 stranger-ca

# An empty revocation list of the clients CA. To revoke a client, add
#   openssl ca -config … -revoke CLIENT.pem -keyfile clients-ca.key -cert clients-ca.pem
# before the last command.
cat >"$work/ca.cnf" <<EOF
[ca]
default_ca = clients
[clients]
database = $work/index
crlnumber = $work/number
default_md = sha256
default_crl_days = $days
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid
EOF
: >"$work/index"
echo 01 >"$work/number"
openssl ca -config "$work/ca.cnf" -gencrl -keyfile clients-ca.key -cert clients-ca.pem \
    -out clients.crl.pem 2>/dev/null
chmod 644 ./*.pem

# What a client's entry in routes.toml names, by value or as "${file:certs/dev/ID.sha256}".
echo "Development certificates in $folder, for $days days. For routes.toml:"
for id in CIDX0000000001 CIDX0000000002 CIDX0000000003; do
    digits=$(openssl x509 -in "$id.pem" -noout -fingerprint -sha256 | cut -d= -f2)
    echo "sha256:$digits" >"$id.sha256"
    echo "$id  certificates = [\"sha256:$digits\"]"
done
