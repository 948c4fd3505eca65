#!/usr/bin/env bash
# twilio-python 9.13.0 (PyPI) and twilio-node 6.3.1 (npm): a webhook whose URL has credentials and a port passes in one and not in the other.
#
# Twilio lets a webhook URL carry a user and a password, and its libraries try the URL with and without its port, since the signature may cover either.
# To take the port away, twilio-python cuts the authority at its first colon, which is the one between user and password, so the URL that it checks has
# neither the password nor the host. A request that was signed without the port is refused. twilio-node splits the authority behind the last `@`, and
# takes the same request. Without credentials both agree.
#
# Output seen: `https://hook:word@a.example:8443/in node: true python: False` and `https://a.example:8443/in node: true python: True`.
# What helps: give the check of twilio-python the URL without its port.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund twilio@6.3.1
python3 -m venv venv
venv/bin/pip install --quiet twilio==9.13.0
node -e '
const twilio = require("twilio");
const form = { Body: "Hello", From: "whatsapp:+15005550100" };
for (const url of ["https://hook:word@a.example:8443/in", "https://a.example:8443/in"]) {
    const signature = twilio.getExpectedTwilioSignature("token", url.replace(":8443", ""), form);
    console.log(`${url} ${signature} ${twilio.validateRequest("token", signature, url, form)}`);
}' >signed
output=$(venv/bin/python - <<'PY'
from twilio.request_validator import RequestValidator

form = {"Body": "Hello", "From": "whatsapp:+15005550100"}
for line in open("signed"):
    url, signature, node = line.split()
    print(url, "node:", node, "python:", RequestValidator("token").validate(url, form, signature))
PY
)
echo "$output"
grep -qx "https://hook:word@a.example:8443/in node: true python: False" <<<"$output"
grep -qx "https://a.example:8443/in node: true python: True" <<<"$output"
