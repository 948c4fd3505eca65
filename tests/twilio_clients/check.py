"""twilio-python against the receiver and the sandbox; see `run`."""

import hashlib
import http.server
import json
import os
import queue
import sys
import threading
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote, urlencode

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

ENV = os.environ
WEBHOOK = ENV["SERVICE"] + "/webhooks/whatsapp"
TOKEN, KEY_ID, KEY_SECRET = ENV["TWILIO_AUTH_TOKEN"], ENV["KEY_ID"], ENV["KEY_SECRET"]
BUSINESS, PERSON = "whatsapp:" + ENV["TWILIO_WHATSAPP_NUMBER"], "whatsapp:+15005550123"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
failures = 0


def case(name, expected, got):
    global failures
    good = expected == got
    failures += not good
    print(f"{'ok    ' if good else 'FAILED'}  python  {name}" + ("" if good else f": expected {expected!r}, got {got!r}"))


# -------- Webhooks, signed by the client's own validator.

count = 0


def message():
    global count
    count += 1
    return {
        "AccountSid": ENV["TWILIO_ACCOUNT_SID"],
        "Body": "Grüße 👋 + more",
        "From": PERSON,
        "MessageSid": f"SM{count:032x}",
        "To": BUSINESS,
    }


def post(url, body, content_type, signature, settings=None):
    headers = {"Content-Type": content_type, "X-Twilio-Signature": signature}
    if settings:
        headers["X-Twilio-Webhooks-Signature-Settings"] = settings
    request = urllib.request.Request(url, body.encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def form(name, expected, secret=TOKEN, algorithm=None, settings=None, path="", tamper=False):
    params = message()
    signature = RequestValidator(secret).compute_signature(WEBHOOK + path, params, algorithm)
    if tamper:
        params["Body"] = "STOP"
    case(name, expected, post(WEBHOOK + path, urlencode(params), FORM, signature, settings))


def body(name, expected, content_type, query, secret=TOKEN, algorithm=None, settings=None, tamper=False):
    text = json.dumps(message())
    url = f"{WEBHOOK}?{query(hashlib.sha256(text.encode()).hexdigest())}"
    signature = RequestValidator(secret).compute_signature(url, {}, algorithm)
    case(name, expected, post(url, text.replace("more", "less") if tamper else text, content_type, signature, settings))


def encoded(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


SHA256, SHA1 = f"key={KEY_ID},algorithm=HMAC_SHA256", f"key={KEY_ID},algorithm=HMAC_SHA1"
form("a form signed with the auth token", 200)
form("a form at the webhook's path with a slash behind it", 200, path="/")
form("a form with a query in the URL", 200, path="?a=%20b&c=d")
form("a form signed with a shared key, SHA-256", 200, KEY_SECRET, "HMAC_SHA256", SHA256)
form("a form signed with a shared key, SHA-1", 200, KEY_SECRET, "HMAC_SHA1", SHA1)
form("a form that was changed", 403, tamper=True)
form("a form signed with another token", 403, "another")
form("a form signed with a shared key that is not known", 403, KEY_SECRET, "HMAC_SHA256", "key=other,algorithm=HMAC_SHA256")
form("a form signed with the auth token that names a shared key", 403, TOKEN, "HMAC_SHA256", SHA256)
plain = lambda digest: f"bodySHA256={digest}"
body("JSON with its hash", 200, "application/json", plain)
body("JSON with its hash, a shared key", 200, "application/json", plain, KEY_SECRET, "HMAC_SHA256", SHA256)
body("JSON of a media type of its own", 200, "application/vnd.api+json", plain)
body("JSON with an encoded hash", 200, "application/json", lambda digest: f"bodySHA256={encoded(digest)}")
body("JSON with an encoded name", 200, "application/json", lambda digest: f"{encoded('bodySHA256')}={digest}")
body("JSON that was changed", 403, "application/json", plain, tamper=True)


# -------- The sandbox, through the client.


class ToSandbox(TwilioHttpClient):
    """Sends what is for Twilio's API to the sandbox."""

    def request(self, method, url, *args, **kwargs):
        return super().request(method, url.replace("https://api.twilio.com", ENV["SANDBOX"]), *args, **kwargs)


account = Client(ENV["TWILIO_ACCOUNT_SID"], TOKEN, http_client=ToSandbox())
by_key = Client(ENV["TWILIO_API_KEY"], ENV["TWILIO_API_SECRET"], ENV["TWILIO_ACCOUNT_SID"], http_client=ToSandbox())
messages = account.messages
service = "MG" + "0" * 31 + "1"
reports = queue.Queue()


class Reports(http.server.BaseHTTPRequestHandler):
    """Takes the sandbox's status callbacks and has the client's validator judge them."""

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = dict(parse_qsl(text, keep_blank_values=True))
        url = f"http://{self.headers['Host']}{self.path}"
        valid = RequestValidator(TOKEN).validate(url, params, self.headers["X-Twilio-Signature"])
        reports.put((params["MessageStatus"], valid))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Reports)
threading.Thread(target=server.serve_forever, daemon=True).start()


def refused(name, code, call):
    try:
        call()
        case(name, code, "no error")
    except TwilioRestException as error:
        case(name, code, error.code)
    except TwilioException as error:  # Of a list: the answer stands behind the words.
        case(name, code, json.loads(error.args[1].text)["code"])


def create(**more):
    return messages.create(to=PERSON, **{"from_": BUSINESS, **more})


sent = create(body="Hello", status_callback=f"http://127.0.0.1:{server.server_port}/status?chunk=1#rc=2")
case("create", ("queued", BUSINESS), (sent.status, sent.from_))
case("status callbacks are signed", [("sent", True), ("delivered", True)], [reports.get(timeout=20) for _ in range(2)])
case("fetch", "delivered", messages(sent.sid).fetch().status)
case("an API key", sent.sid, by_key.messages(sent.sid).fetch().sid)
refused("an API key with another secret", 20003, lambda: Client(
    ENV["TWILIO_API_KEY"], "other", ENV["TWILIO_ACCOUNT_SID"], http_client=ToSandbox()).messages.list(limit=1))
today = datetime.now(timezone.utc)
yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
found = lambda **filters: sent.sid in [message.sid for message in messages.list(to=PERSON, **filters)]
case("list by day", (True, True, True, False, False), (
    found(date_sent=today), found(date_sent_after=yesterday), found(date_sent_before=tomorrow),
    found(date_sent_after=tomorrow), found(date_sent_before=yesterday)))
inequality = f"{ENV['SANDBOX']}/2010-04-01/Accounts/{ENV['TWILIO_ACCOUNT_SID']}/Messages.json?DateSent={quote('>=' + today.date().isoformat())}"
case("list by an inequality in the value", 200, account.request("GET", inequality).status_code)
for _ in range(3):
    create(body="one of many")
case("pages", True, len(messages.list(to=PERSON, page_size=2)) >= 4)
scheduled = messages.create(to=PERSON, messaging_service_sid=service, body="later", schedule_type="fixed",
                            send_at=today + timedelta(hours=1))
case("a message of a Messaging Service, later", ("scheduled", None), (scheduled.status, scheduled.from_))
case("cancel", "canceled", messages(scheduled.sid).update(status="canceled").status)
refused("cancel what has left", 30409, lambda: messages(sent.sid).update(status="canceled"))
case("a message of a Messaging Service", ("accepted", service), (lambda made: (made.status, made.messaging_service_sid))(
    messages.create(to=PERSON, messaging_service_sid=service, body="now")))
case("redact", "", messages(sent.sid).update(body="").body)
refused("update to another text", 20001, lambda: messages(sent.sid).update(body="other"))
picture = create(media_url=["https://files.example/cat.png"])
listed = messages(picture.sid).media.list()
case("the list of a message's media", [("ME", picture.sid)], [(medium.sid[:2], medium.parent_sid) for medium in listed])
case("fetch a medium", listed[0].sid, messages(picture.sid).media(listed[0].sid).fetch().sid)
case("delete a medium", True, messages(picture.sid).media(listed[0].sid).delete())
refused("fetch a deleted medium", 20404, lambda: messages(picture.sid).media(listed[0].sid).fetch())
case("feedback", "confirmed", messages(sent.sid).feedback.create(outcome="confirmed").outcome)
case("delete", True, messages(sent.sid).delete())
refused("fetch what was deleted", 20404, lambda: messages(sent.sid).fetch())
refused("what the sandbox has not", 20404, lambda: account.calls.list(limit=1))
sys.exit(failures > 0)
