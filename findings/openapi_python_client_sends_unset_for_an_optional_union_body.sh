#!/usr/bin/env bash
# openapi-python-client 0.29.1 (PyPI): an operation whose body is optional and a union cannot be called without a body.
#
# A body that may be left out or null is described as `required: false` with `oneOf: [{$ref}, {type: null}]`, which is what utoipa 6 makes of
# `request_body = Option<T>`. The client is generated without a warning, and its signature says that the body may be left out: `body: Settings | None |
# Unset = UNSET`. Yet leaving it out passes the marker UNSET on to httpx, which cannot write it as JSON: TypeError. The same body described as the `$ref`
# alone, still not required, works.
#
# Output seen: `a union: TypeError: Object of type Unset is not JSON serializable` and `a reference: sent b''`.
# What helps: describe an optional body without null, as its type alone; or give `body=None`, which sends none.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1
# Without it in the PATH the generated code is not formatted, which is a warning.
export PATH="$folder/python/bin:$PATH"
cat >description.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "Two bodies", "version": "1"},
 "paths": {
  "/union": {"post": {"operationId": "union", "tags": ["calls"], "responses": {"204": {"description": "Done."}},
   "requestBody": {"required": false, "content": {"application/json": {"schema": {"oneOf": [{"$ref": "#/components/schemas/Settings"}, {"type": "null"}]}}}}}},
  "/reference": {"post": {"operationId": "reference", "tags": ["calls"], "responses": {"204": {"description": "Done."}},
   "requestBody": {"required": false, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Settings"}}}}}}},
 "components": {"schemas": {"Settings": {"type": "object", "properties": {"loud": {"type": "boolean"}}}}}}
JSON
openapi-python-client generate --path description.json --meta none --output-path calls --fail-on-warning >/dev/null
output=$(python - <<'PY'
import httpx
from calls import Client
from calls.api.calls import reference, union


def answer(request):
    print(f"sent {request.content}")
    return httpx.Response(204)


client = Client(base_url="http://localhost", httpx_args={"transport": httpx.MockTransport(answer)})
for name, call in (("a union", union), ("a reference", reference)):
    print(f"{name}: ", end="")
    try:
        call.sync_detailed(client=client)
    except TypeError as error:
        print(f"TypeError: {error}")
PY
)
echo "$output"
grep -qx "a union: TypeError: Object of type Unset is not JSON serializable" <<<"$output"
grep -qx "a reference: sent b''" <<<"$output"
