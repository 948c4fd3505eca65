// twilio-node against the receiver and the sandbox; see `run`.
"use strict";

const crypto = require("node:crypto");
const twilio = require("twilio");
const webhooks = require("twilio/lib/webhooks/webhooks");

const env = process.env;
const WEBHOOK = `${env.SERVICE}/webhooks/whatsapp`;
const [TOKEN, KEY_ID, KEY_SECRET] = [env.TWILIO_AUTH_TOKEN, env.KEY_ID, env.KEY_SECRET];
const [BUSINESS, PERSON] = [`whatsapp:${env.TWILIO_WHATSAPP_NUMBER}`, "whatsapp:+15005550124"];
let failures = 0;

function check(name, expected, got) {
    const [wanted, seen] = [JSON.stringify(expected), JSON.stringify(got)];
    failures += wanted !== seen;
    console.log(wanted === seen ? `ok      node    ${name}` : `FAILED  node    ${name}: expected ${wanted}, got ${seen}`);
}

// -------- Webhooks, signed by the client's own functions.

let count = 0;

function message() {
    count += 1;
    return {
        AccountSid: env.TWILIO_ACCOUNT_SID,
        Body: "Grüße 👋 + more",
        From: PERSON,
        MessageSid: `SM${(0x1000 + count).toString(16).padStart(32, "0")}`,
        To: BUSINESS,
    };
}

async function post(url, body, type, signature, settings) {
    const headers = { "Content-Type": type, "X-Twilio-Signature": signature };
    if (settings) {
        headers["X-Twilio-Webhooks-Signature-Settings"] = settings;
    }
    return (await fetch(url, { method: "POST", headers, body })).status;
}

async function form(name, expected, { secret = TOKEN, algorithm, settings, path = "" } = {}) {
    const params = message();
    const signature = webhooks.getExpectedTwilioSignature(secret, WEBHOOK + path, params, algorithm);
    const type = "application/x-www-form-urlencoded; charset=UTF-8";
    check(name, expected, await post(WEBHOOK + path, new URLSearchParams(params).toString(), type, signature, settings));
}

async function json(name, expected, { type = "application/json", secret = TOKEN, algorithm, settings } = {}) {
    const text = JSON.stringify(message());
    const url = `${WEBHOOK}?bodySHA256=${crypto.createHash("sha256").update(text).digest("hex")}`;
    const signature = webhooks.getExpectedTwilioSignature(secret, url, {}, algorithm);
    check(name, expected, await post(url, text, type, signature, settings));
}

// -------- The sandbox, through the client.

class ToSandbox extends twilio.RequestClient {
    request(options) {
        return super.request({ ...options, uri: options.uri.replace("https://api.twilio.com", env.SANDBOX) });
    }
}

async function refused(name, code, call) {
    try {
        await call();
        check(name, code, "no error");
    } catch (error) {
        check(name, code, error.code);
    }
}

async function main() {
    const settings = `key=${KEY_ID},algorithm=HMAC_SHA256`;
    const sha256 = { secret: KEY_SECRET, algorithm: "HMAC_SHA256" };
    await form("a form signed with the auth token", 200);
    await form("a form at the webhook's path with a slash behind it", 200, { path: "/" });
    await form("a form signed with a shared key, SHA-256", 200, { ...sha256, settings });
    await form("a form signed with a shared key, SHA-1", 200, { secret: KEY_SECRET, settings: `key=${KEY_ID}` });
    await form("a form signed with a shared key that is not named", 403, sha256);
    await form("a form signed with another secret", 403, { ...sha256, secret: "other", settings });
    await json("JSON with its hash", 200);
    await json("JSON of a media type of its own, a shared key", 200, { type: "application/vnd.api+json", ...sha256, settings });

    const client = (user, password) => twilio(user, password, { accountSid: env.TWILIO_ACCOUNT_SID, httpClient: new ToSandbox() });
    const account = client(env.TWILIO_ACCOUNT_SID, TOKEN);
    const byKey = client(env.TWILIO_API_KEY, env.TWILIO_API_SECRET);
    const messagingServiceSid = `MG${"0".repeat(31)}1`;
    const to = PERSON;

    const sent = await byKey.messages.create({ to, from: BUSINESS, body: "Hello" });
    check("create, with an API key", ["queued", BUSINESS], [sent.status, sent.from]);
    const [hour, day] = [3_600_000, 86_400_000];
    const now = Date.now();
    const wait = async (status) => {
        for (let tries = 0; tries < 200; tries += 1) {
            const fetched = await account.messages(sent.sid).fetch();
            if (fetched.status === status) {
                return fetched;
            }
            await new Promise((done) => setTimeout(done, 50));
        }
        return account.messages(sent.sid).fetch();
    };
    check("fetch", "delivered", (await wait("delivered")).status);
    const found = async (filter) => (await account.messages.list({ to, ...filter })).some((listed) => listed.sid === sent.sid);
    check("list by day", [true, true, false], [
        await found({ dateSent: new Date(now) }),
        await found({ dateSentAfter: new Date(now - day), dateSentBefore: new Date(now + day) }),
        await found({ dateSentAfter: new Date(now + day) }),
    ]);
    const later = { to, messagingServiceSid, body: "later", scheduleType: "fixed", sendAt: new Date(now + hour) };
    const scheduled = await account.messages.create(later);
    check("a message of a Messaging Service, later", "scheduled", scheduled.status);
    check("cancel", "canceled", (await account.messages(scheduled.sid).update({ status: "canceled" })).status);
    await refused("cancel what has left", 30409, () => account.messages(sent.sid).update({ status: "canceled" }));
    const picture = await account.messages.create({ to, from: BUSINESS, mediaUrl: ["https://files.example/cat.png"] });
    const [medium] = await account.messages(picture.sid).media.list();
    check("the list of a message's media", "ME", medium.sid.slice(0, 2));
    check("fetch a medium", medium.sid, (await account.messages(picture.sid).media(medium.sid).fetch()).sid);
    check("delete a medium", true, await account.messages(picture.sid).media(medium.sid).remove());
    check("feedback", "unconfirmed", (await account.messages(sent.sid).feedback.create({ outcome: "unconfirmed" })).outcome);
    check("redact", "", (await account.messages(sent.sid).update({ body: "" })).body);
    check("delete", true, await account.messages(sent.sid).remove());
    await refused("fetch what was deleted", 20404, () => account.messages(sent.sid).fetch());
    await refused("what the sandbox has not", 20404, () => account.calls.list({ limit: 1 }));
    process.exitCode = failures > 0 ? 1 : 0;
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
