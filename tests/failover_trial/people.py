"""People who write through Twilio, and what they read. Webhooks are signed here, by other code than the service's."""

import base64
import collections
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import json
import random
import re
import threading
import time
import urllib.parse
import urllib.request

from processes import until
from service import ACCOUNT_SID, AUTH_TOKEN, NUMBER

PEOPLE = 60
PER_SECOND = 5
# What `#rc=5&rp=all` behind the URL asks of Twilio: five more tries after any failure, within 15 seconds. They follow at once, which is hard on us.
RETRIES, BUDGET_SECONDS = 5, 15

Written = collections.namedtuple("Written", "person text at tries acknowledged_at")


class People:
    def __init__(self, twilio, service, webhook_url):
        self.twilio, self.service, self.webhook_url = twilio, service, webhook_url
        self.written, self.lock, self.over = [], threading.Lock(), threading.Event()
        self.numbers = [f"+1500555{1000 + number}" for number in range(PEOPLE)]
        self.threads = []

    def link(self):
        """Each person has a user of the product's, and claims the phone."""

        def claim(number):
            user = f"person-{number}"
            self.service.call("PUT", f"/v1/users/{user}", {"plan": "max"})
            token = self.service.call("POST", f"/v1/users/{user}/whatsapp/claims", {})["token"]
            if self.write(self.numbers[number], token).acknowledged_at is None:
                raise RuntimeError(f"the claim of {user} was not taken in")

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(claim, range(PEOPLE)))
        linked = "This number is now linked"
        until(60, "all phones are linked", lambda: sum(linked in message["body"] for message in self.twilio.messages()) >= PEOPLE)

    def write(self, person, text):
        """A message is in Twilio's list from the moment that Twilio has it, whatever becomes of its webhook."""
        at = time.monotonic()
        given = urllib.parse.urlencode({"From": person, "Body": text, "deliver": "false"}).encode()
        with urllib.request.urlopen(f"{self.twilio.url}/sandbox/inbound", given, timeout=20) as answer:
            sid = json.load(answer)["sid"]
        form = {
            "SmsMessageSid": sid, "NumMedia": "0", "ProfileName": "A person", "MessageType": "text", "SmsSid": sid,
            "WaId": person[1:], "SmsStatus": "received", "Body": text, "To": f"whatsapp:{NUMBER}", "NumSegments": "1",
            "ReferralNumMedia": "0", "MessageSid": sid, "AccountSid": ACCOUNT_SID, "From": f"whatsapp:{person}", "ApiVersion": "2010-04-01",
        }  # fmt: skip
        tries, acknowledged = deliver(self.webhook_url, form)
        return Written(person, text, at, tries, time.monotonic() if acknowledged else None)

    def start_writing(self):
        def one(number):
            written = self.write(random.choice(self.numbers), f"m{number:05}")
            with self.lock:
                self.written.append(written)

        def all_of_them():
            begun = time.monotonic()
            for number in range(10**5):
                if self.over.wait(max(0, begun + number / PER_SECOND - time.monotonic())):
                    return
                thread = threading.Thread(target=one, args=[number], daemon=True)
                self.threads.append(thread)
                thread.start()

        self.begun = utc_minute()
        self.writer = threading.Thread(target=all_of_them, daemon=True)
        self.writer.start()

    def stop_writing(self):
        self.over.set()
        self.writer.join()
        for thread in self.threads:
            thread.join(BUDGET_SECONDS + 30)
        self.ended = utc_minute()
        if len(self.written) != len(self.threads):
            raise RuntimeError(f"{len(self.threads)} people wrote, {len(self.written)} could")

    def acknowledged_since(self, at):
        with self.lock:
            return sum(written.acknowledged_at is not None and written.acknowledged_at >= at for written in self.written)

    def answers(self):
        """How often each person read each text in an answer."""
        return count_words(self.twilio.messages(), r"\bm\d{5}\b")

    def ticks(self):
        """How often the first person was told each minute by the schedule."""
        return count_words(self.twilio.messages(), r"\bTick \d\d:\d\d")

    def minutes_of_writing(self):
        """The minutes that began meanwhile, as `ticks` has them."""
        minutes = (self.ended - self.begun) // datetime.timedelta(minutes=1)
        begun = [self.begun + datetime.timedelta(minutes=number) for number in range(1, minutes + 1)]
        return {(self.numbers[0], f"Tick {minute:%H:%M}") for minute in begun}


def utc_minute():
    return datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)


def count_words(messages, pattern):
    counts = collections.Counter()
    for message in messages:
        if message["direction"] != "inbound":
            person = message["to"].removeprefix("whatsapp:")
            counts.update((person, word) for word in re.findall(pattern, message["body"]))
    return counts


def deliver(url, form):
    """Twilio's side of a webhook. Returns the number of tries, and whether the last one was answered well."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*"}
    address, begun = urllib.parse.urlsplit(url), time.monotonic()
    for number in range(1, RETRIES + 2):
        left = BUDGET_SECONDS - (time.monotonic() - begun)
        if left <= 0:
            return number - 1, False
        connection = http.client.HTTPConnection(address.netloc, timeout=left)
        try:
            connection.request("POST", address.path, urllib.parse.urlencode(form), headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status < 400:
                return number, True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
    return RETRIES + 1, False
