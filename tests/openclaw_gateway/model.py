"""The model behind the gateway: a server that speaks OpenAI's chat completions and streams. A tag in the person's message says what it does."""

import http.server
import json
import re
import threading

LONG_ANSWER = "\n\n".join(f"Paragraph {number}. " + f"This is a sentence of paragraph {number}. " * 15 for number in range(1, 9)).strip()
MARKDOWN_ANSWER = "# Plan\n\n**First** read [the page](https://example.com/a_b), then *run* `cargo **test**`.\n\n- one\n- two\n"
# The one the gateway waits for itself, so that its own tries end soon.
RATE_LIMIT_WAIT_SECONDS = 1


class Model:
    """Answers until the process ends."""

    def __init__(self):
        self.calls = []
        self.gate = threading.Event()
        self.is_filtering = threading.Event()
        self.refusals = {"#refuse": 10**6, "#refuse-once": 1}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"model": self}))
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def told(self, greeting, words):
        """How often each model call of a session saw these words from a person. The session is known by what it began with."""
        views = ["\n".join(of_person(body)) for body in self.calls]
        return [view.count(words) for view in views if greeting in view]

    def asked(self, marker):
        """How often it was asked by a session in which a person has written this."""
        return sum(any(marker in text for text in texts(body)) for body in self.calls)


class Handler(http.server.BaseHTTPRequestHandler):
    model = None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.model.calls.append(body)
        try:
            self.answer(body, tag(body))
        except OSError:
            pass  # The gateway has gone.

    def answer(self, body, tag):
        if tag == "#fail":
            self.give(500, {"message": "the model is broken", "type": "server_error"})
        elif tag == "#limit":
            self.give(429, {"message": "Rate limit reached", "type": "rate_limit_error"}, {"Retry-After": RATE_LIMIT_WAIT_SECONDS})
        elif self.model.refusals.get(tag, 0) > 0:
            self.model.refusals[tag] -= 1
            self.give(401, {"message": "Incorrect API key provided", "type": "authentication_error", "code": "invalid_api_key"})
        elif tag == "#hang":
            threading.Event().wait()
        else:
            if tag == "#gate":
                self.model.gate.wait()
            if tag == "#filter" and self.model.is_filtering.is_set():
                self.stream("", "content_filter")
            else:
                self.stream(reply(body, tag), "length" if tag == "#cut" else "stop")

    def give(self, status, problem, headers=()):
        data = json.dumps({"error": problem}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, text, finish_reason):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in re.findall(r"(?s).{1,60}", text))]
        for delta, reason in [*((delta, None) for delta in deltas), ({}, finish_reason)]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {"id": "stub", "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


def reply(body, tag):
    """What the model says."""
    said = "\n".join(texts(body))
    if tag == "#silent":
        return "NO_REPLY"
    if tag == "#long":
        return LONG_ANSWER
    if tag == "#markdown":
        return MARKDOWN_ANSWER
    if tag == "#pin":
        return "PINs: " + " ".join(re.findall(r"My PIN is (\d+)", said)) + "."
    if tag == "#numbers":
        return "Numbers: " + " ".join(re.findall(r"Number (\d+)\.", said)) + "."
    if tag == "#picture":
        words = "in words" if "picture (image/png" in said else "not in words"
        return f"Pictures: {pictures(body)}, {words}."
    return "Fine."


def of_person(body):
    """What was said in the person's name, message by message. The gateway adds messages of its own."""
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, list):
            content = "\n".join(part.get("text", "") for part in content)
        if message["role"] == "user":
            yield content


def texts(body):
    """What the person wrote, message by message."""
    return [content for content in of_person(body) if re.search("#[a-z]", content)]


def tag(body):
    """The last tag that the person wrote."""
    return re.findall(r"#[a-z-]+", "\n".join(texts(body)) or "#none")[-1]


def pictures(body):
    parts = [part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]]
    return sum(part.get("type") == "image_url" for part in parts)
