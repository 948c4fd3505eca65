"""What the client does, so that each operation has something to answer."""

import json
import os
import urllib.parse
import urllib.request
import uuid

from client import until

PHONE = "+15005550177"
BOB = {
    "plan": "pro",
    "timezone": "Europe/Berlin",
    "quietHours": {"from": "22:00", "to": "07:00"},
    "attributes": {"name": "Bob", "favourite-city_2": "Köln"},
    "periodAnchor": "2026-11-29",
    "agent": {"agentId": "work"},
}


def sandbox(method, path, body, content_type):
    request = urllib.request.Request(os.environ["SANDBOX"] + path, body, {"Content-Type": content_type}, method=method)
    urllib.request.urlopen(request).read()


def write(text):
    """The person writes on the phone."""
    form = urllib.parse.urlencode({"From": PHONE, "Body": text}).encode()
    sandbox("POST", "/sandbox/inbound", form, "application/x-www-form-urlencoded")


def misbehave(**faults):
    sandbox("PUT", "/sandbox/faults", json.dumps(faults).encode(), "application/json")


def play(client):
    """Returns ids that there are, for others to ask for."""
    link(client)
    chat(client)
    known = {"users": ["alice", "bob", "demo"], "schedules": ["morning"]}
    known["deliveries"] = notify(client)
    known["jobs"] = bury(client)
    known["chunks"] = doubt(client)
    known["alerts"] = refuse_sender(client)
    look(client)
    fire(client)
    resend(client)
    take_over(client)
    leave(client)
    return known


def link(client):
    plans = client("listPlans")
    client.row("listPlans knows the default plan", "" if plans["default"] in plans["plans"] else str(plans))
    client("putUser", "bob", body=BOB, expect=201)
    client("putUser", "bob", body={"quietHours": None, "paused": False, "periodAnchor": 31, "agent": None}, expect=200)
    bob = client("getUser", "bob")
    told = [bob["timezone"], bob["quietHours"], bob["attributes"], bob["periodAnchor"], bob["agent"]]
    client.row("getUser knows what putUser said", "" if told == ["Europe/Berlin", None, BOB["attributes"], 31, None] else str(told))
    client("getUser", "nobody", expect=404)
    client("linkDashboard", "nobody", expect=404)
    dashboard = client("linkDashboard", "bob", expect=201)
    client.row("linkDashboard leads to the dashboard", "" if "/dashboard?code=" in dashboard["url"] else str(dashboard))
    client("putUser", "alice")
    client("claimWhatsapp", "alice", expect=201)
    client("putUser", "alice", body={"plan": "pro"})
    client("optOutUser", "alice", expect=409)
    write(client("claimWhatsapp", "alice", body={"replace": False}, expect=201)["token"])
    until("alice has a phone", lambda: client("getUser", "alice")["whatsapp"])
    client.row("claimWhatsapp links a phone")


def chat(client):
    key = str(uuid.uuid4())
    client("writeMessage", "alice", body={"text": "Hello"}, idempotency_key=key, expect=202)
    again = client("writeMessage", "alice", body={"text": "Hello"}, idempotency_key=key, expect=202)
    thread = until("the agent answered", lambda: (said := client("listMessages", "alice", after=0, limit=10)["messages"])[1:] and said)
    content_type, event = client.first_event("watchMessages", "alice", after=thread[0]["number"])
    expected = {"event": "message", "id": str(thread[1]["number"])}
    got = {name: event.get(name) for name in expected}
    streamed = content_type == "text/event-stream" and got == expected and json.loads(event["data"]) == thread[1]
    client.row("watchMessages streams what listMessages has", "" if streamed and again["duplicate"] else f"{content_type} {event}, {again}")


def notify(client):
    body = {"text": "Build 17 failed.", "waitForInbound": True, "template": {"contentSid": "HX" + "0" * 32, "variables": {"1": "17"}}}
    delivery = client("notifyUser", "alice", body=body, idempotency_key="build-17", expect=202)["delivery"]["id"]
    until("the notification was delivered", lambda: client("getDelivery", delivery)["state"] == "delivered")
    client("cancelDelivery", delivery)
    client("getDelivery", str(uuid.uuid4()), expect=404)
    client.row("notifyUser is delivered")
    usage = client("getUsage", "alice")["whatsappSends"]
    client.row("getUsage counts it", "" if usage["used"] == 1 else str(usage))
    return [delivery]


def bury(client):
    """Jobs that died."""
    misbehave(refuse=1.0, refuse_code=21617)
    write("A reply that Twilio refuses.")
    dead = until("a job died", lambda: client("listJobs", state=state("dead"), limit=10)["jobs"])
    misbehave()
    job = client("showJob", dead[0]["id"])
    client.row("showJob tells why it died", "" if "21617" in str(job["reason"]) else str(job))
    client("showJob", 999_999_999, expect=404)
    groups = client("jobGroups")["groups"]
    client.row("jobGroups has it", "" if [group["kind"] for group in groups] == ["send_chunk"] else str(groups))
    client("retryJob", job["id"])
    write("Another one.")
    client("retryJobs", body={"state": "dead", "kind": "send_chunk", "limit": 5})
    client("cancelJob", job["id"])
    client("cancelJobs", body={"state": "dead", "since": "2026-01-01T00:00:00Z"})
    client("jobStats")
    waits = until("a job waits for its time", lambda: client("listJobs", state=state("scheduled"), limit=1)["jobs"])
    client("runJobNow", waits[0]["id"])
    client("runJobNow", 999_999_999, expect=404)
    return [job["id"]]


def state(text):
    from cloudybot.models.list_jobs_state import ListJobsState

    return ListJobsState(text)


def doubt(client):
    """A send whose answer and callbacks were lost."""
    # Later callbacks and Twilio's list would end the doubt before anybody could.
    misbehave(drop_after=1.0, callback_lost=1.0, list_lag_ms=3_600_000)
    write("A reply of which nobody knows whether it arrived.")
    chunk = until("a send is in doubt", lambda: client("listInDoubt")["chunks"])[0]["chunk"]
    verdict = client("giveVerdict", chunk, body={"verdict": "arrived"})
    client("giveVerdict", chunk, body={"verdict": "arrived"}, expect=409)
    misbehave()
    client.row("giveVerdict ends a doubt", "" if verdict["state"] == "sent" else str(verdict))
    return [chunk]


def refuse_sender(client):
    """Twilio refuses the account."""
    misbehave(refuse=1.0, refuse_code=20003, refuse_status=401)
    write("A reply in a pause.")
    alert = until("there is an alert", lambda: client("listAlerts")["alerts"])[0]
    client.row("listAlerts tells of a refused sender", "" if alert["cause"] == "sender_refused" else str(alert))
    client("getAlert", alert["id"])
    client("getAlert", 999_999_999, expect=404)
    client("acknowledgeAlert", alert["id"], expect=204)
    client("acknowledgeAlert", 999_999_999, expect=404)
    misbehave()
    probing = client("probeSender")
    client.row("probeSender tries it out", "" if probing["probing"] else str(probing))
    pool = {"scope": "pool", "name": "prompts"}
    changed = [client(name, body=pool)["changed"] for name in ("pauseJobs", "resumeJobs")]
    client.row("pauseJobs and resumeJobs", "" if changed == [True, True] else str(changed))
    return [alert["id"]]


def look(client):
    turns = client("listTurns", user="alice", limit=50)["turns"]
    messages = client("listWritten", user="alice")["messages"]
    client.row("listTurns and listWritten know the chat", "" if len(turns) >= 3 and len(messages) >= 4 else f"{turns} {messages}")
    client("showTurn", turns[0]["id"])
    client("showTurn", 999_999_999, expect=404)
    story = client("tellStory", str(messages[0]["id"]))
    client.row("tellStory ends well", "" if story["verdict"] and story["steps"] else str(story))
    # From outside nobody can make a message that has neither an outcome nor a job.
    client("replayMessage", messages[0]["id"], expect=409)
    for name in ("listUnusableEntries", "listUsers", "listWorkers", "listPauses", "messageStats", "storageStats", "listChunks", "status"):
        client(name)
    client("showUser", "alice")
    client("showUser", "nobody", expect=404)


def resend(client):
    """A message that fails after Twilio took it, and a turn that fails."""

    def failed():
        return [delivery["id"] for delivery in client("listDeliveries", number=PHONE)["deliveries"] if delivery["state"] == "failed"]

    before = failed()
    misbehave(fail_later=1.0, fail_later_code=63010)
    write("A reply that fails later.")
    lost = until("a delivery failed", lambda: [one for one in failed() if one not in before])[0]
    misbehave()
    client("showDelivery", lost)
    client("showDelivery", str(uuid.uuid4()), expect=404)
    client("resendDelivery", lost)
    client("resendDelivery", lost, expect=409)
    client.row("resendDelivery sends once anew")
    client("resendDeliveries", body={"user": "alice", "state": "expired"})
    write("/fail")
    turn = until("a turn failed", lambda: [turn["id"] for turn in client("listTurns", user="alice")["turns"] if turn["state"] == "failed"], 120)[0]
    client("retryTurn", turn)
    client("retryTurn", turn, expect=409)
    client.row("retryTurn answers once more")


def take_over(client):
    """A person answers instead of the agent."""
    client("takeOver", "alice")
    client("takeOver", "nobody", expect=404)
    write("Is anybody there?")
    until("the message waits for a person", lambda: client("listTakeovers")["takeovers"][0]["waiting"])
    client("answerByHand", "alice", body={"text": "Yes."}, idempotency_key="by-hand", expect=202)
    client("giveBack", "alice", expect=204)
    client("answerByHand", "alice", body={"text": "Still here."}, idempotency_key="too-late", expect=409)
    client.row("takeOver, answerByHand and giveBack")


def fire(client):
    listed = until("the schedule is loaded", lambda: client("listSchedules", users=10)["schedules"])
    preview = client("previewSchedule", "morning", slots=2)
    fits = [listed[0]["schedule"], len(preview["next"]), preview["content"]] == ["morning", 2, "message"]
    client.row("listSchedules and previewSchedule", "" if fits else f"{listed} {preview}")
    slots = [client("fireSchedule", "morning")["slot"], client("testSchedule", "morning", body={"user": "alice"})["slot"]]
    client("testSchedule", "morning", body={"user": "nobody"}, expect=404)
    client("previewSchedule", "evening", expect=404)
    switched = [client(name, "morning")["enabled"] for name in ("disableSchedule", "enableSchedule")]
    client.row("a schedule is fired, tried and switched", "" if all(slots) and switched == [False, True] else f"{slots} {switched}")
    retried = client("retryTurns", body={"since": "2026-01-01T00:00:00Z", "dryRun": True})
    client.row("retryTurns finds nothing to do", "" if not retried["turns"] else str(retried))


def leave(client):
    client("optOutUser", "alice", expect=204)
    opted_out = client("getUser", "alice")["optedOut"]
    client("unlinkWhatsapp", "alice", expect=204)
    client("putUser", "carol", body={}, expect=201)
    client("moveUser", "carol", body={"cell": "eu-2"})
    cell = client("getUser", "carol", expect=421)["cell"]
    client("takeUserBack", "carol", expect=204)
    client("takeUserBack", "carol", expect=404)
    client.row("moveUser and takeUserBack", "" if cell == "eu-2" else str(cell))
    client("eraseUser", "carol")
    client("getUser", "carol", expect=404)
    client.row("optOutUser, unlinkWhatsapp and eraseUser", "" if opted_out else "alice is not opted out")
