//! Another try of what gave up: each does its work again, or says why not.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::proactive::text_of;
use crate::support::{PERSON, TestApp};

/// Tries all dead jobs of a kind again; what came of them, counted.
async fn retry(app: &TestApp, kind: &str) -> Value {
    let (status, answer) = app.admin(Method::POST, "/jobs/retry", json!({ "kind": kind })).await;
    assert_eq!(status, 200, "{answer}");
    answer["kinds"].clone()
}

fn all_retried(kind: &str, number: usize) -> Value {
    json!([{ "kind": kind, "retried": number, "refused": 0, "reasons": [] }])
}

/// Expects that nothing was tried again, for one reason that contains these words.
fn assert_refused(counted: &Value, words: &str) {
    assert_eq!((&counted[0]["retried"], &counted[0]["refused"]), (&json!(0), &json!(1)), "{counted}");
    let reason = counted[0]["reasons"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(words), "{reason}");
}

async fn run_sql(app: &TestApp, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&app.pg).await.unwrap();
}

/// Lets the one job of a kind that is set off meanwhile die at its first attempt, by a statement that fails.
async fn die(app: &TestApp, kind: &'static str, breaks: &'static str, set_off: impl AsyncFnOnce()) {
    let paused = json!({ "scope": "kind", "name": kind });
    app.admin(Method::POST, "/jobs/pause", paused.clone()).await;
    set_off().await;
    let waits = || async {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM queue.jobs WHERE kind = $1 AND state <> 'running'")
                .bind(kind)
                .fetch_one(&app.pg)
                .await
                .unwrap();
        waiting == 1
    };
    app.until("the job waits", async || waits().await).await;
    run_sql(app, "UPDATE queue.jobs SET max_attempts = 1").await;
    run_sql(app, breaks).await;
    app.admin(Method::POST, "/jobs/resume", paused).await;
    app.until("the job is dead", async || app.count("SELECT count(*) FROM queue.dead").await == Some(1))
        .await;
    app.drained().await;
}

const BREAK_MESSAGES: &str = "CREATE FUNCTION broken() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
    CREATE TRIGGER broken BEFORE UPDATE OF accepted_at ON channel_messages FOR EACH ROW EXECUTE FUNCTION broken()";
const MEND: &str = "DROP FUNCTION broken() CASCADE";

/// A delivery of some chunks of which the first is refused, so that its job is dead.
async fn refused_by_twilio(app: &TestApp, said: &str) {
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() });
    app.write(PERSON, said).await;
    app.until("the job is dead", async || app.count("SELECT count(*) FROM queue.dead").await == Some(1))
        .await;
    app.drained().await;
    app.sandbox.set_faults(Faults::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_twilio_refused_goes_out_once_when_its_chunk_is_retried_at_a_terminal() {
    let app = TestApp::start().await;
    refused_by_twilio(&app, "/long 4000").await;

    let (well, told) = app.command(&["jobs", "retry", "--kind", "send_chunk"]).await;
    app.replies(PERSON, 3).await;
    app.drained_well().await;
    app.until("it is delivered", async || {
        app.count("SELECT count(*) FROM channel_deliveries WHERE state = 'delivered'").await == Some(1)
    })
    .await;
    let (again_well, again) = app.command(&["jobs", "retry", "--kind", "send_chunk"]).await;

    assert!(well && told.contains("send_chunk: 1 retried, 0 refused"), "{told}");
    assert!(again_well && again.contains("no job fits"), "{again}");
    let bodies: Vec<String> = app.said_to(PERSON);
    let whole: String = app.text("SELECT string_agg(body, '|' ORDER BY index) FROM channel_chunks WHERE delivery_id = (SELECT delivery_id FROM channel_chunks WHERE id = 1)").await;
    assert_eq!(bodies.join("|"), whole);
    assert_eq!(
        app.text("SELECT string_agg(state, ' ' ORDER BY created_at) FROM channel_deliveries").await,
        "failed delivered"
    );
    let covered = "SELECT count(*) FROM channel_deliveries d JOIN channel_chunks c ON c.delivery_id = d.id
                   WHERE d.resent_from = 1 AND d.expires_at > now() + interval '23 hours' AND c.source_end <= octet_length(d.text)";
    assert_eq!(app.count(covered).await, Some(3));
    let [id, origin] = ["IS NOT NULL", "IS NULL"]
        .map(|which| format!("SELECT id::TEXT FROM channel_deliveries WHERE resent_from {which}"));
    let [id, origin] =
        [&id, &origin].map(|question| sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(question.clone())));
    let (id, origin) = (id.fetch_one(&app.pg).await.unwrap(), origin.fetch_one(&app.pg).await.unwrap());
    let told = async |id: &str| {
        app.product(Method::GET, &format!("/deliveries/{id}"), Value::Null).await.1["resentFrom"].clone()
    };
    assert_eq!((told(&id).await, told(&origin).await), (origin.as_str().into(), Value::Null));
    assert!(app.text("SELECT reason FROM queue.finished WHERE cancelled").await.starts_with("retried by"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_retries_of_a_chunk_at_once_make_one_delivery() {
    let app = TestApp::start().await;
    refused_by_twilio(&app, "Hello").await;
    let id = app.count("SELECT id FROM queue.dead").await.unwrap();
    let path = format!("/jobs/{id}/retry");

    let answers =
        futures::future::join_all((0..4).map(|_| app.admin(Method::POST, &path, Value::Null))).await;
    app.drained_well().await;

    let retried = answers.iter().filter(|(_, answer)| answer["outcome"] == "retried").count();
    let told = answers.iter().filter(|(_, answer)| answer["detail"] == "it is not dead").count();
    assert_eq!((retried, told), (1, 3), "{answers:?}");
    assert_eq!(app.said_to(PERSON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_is_not_retried_past_what_stands_in_its_way() {
    let app = TestApp::start_with(&[("CLOUDYBOT__PLANS__PRO__WHATSAPP_SENDS", "3")]).await;
    app.product(Method::PUT, "/users/alice", json!({ "plan": "pro" })).await;
    app.claim("alice", PERSON).await;
    app.sandbox.set_faults(Faults { refuse: 1.0, refuse_code: 21211, ..Faults::default() });
    let text = text_of(2);
    let (_, notified) =
        app.product(Method::POST, "/users/alice/notifications", json!({ "text": text })).await;
    app.until("the job is dead", async || app.count("SELECT count(*) FROM queue.dead").await == Some(1))
        .await;
    app.drained().await;
    app.sandbox.set_faults(Faults::default());
    let chunks = app.count("SELECT count(*) FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id WHERE d.purpose = 'notification'").await.unwrap();
    assert!(chunks >= 2, "{notified}");

    let in_the_way = [
        (
            "INSERT INTO whatsapp_proactive_opt_outs (phone_hash, keyword) VALUES ('', 'STOP')",
            "",
            "opted_out",
        ),
        (
            "UPDATE channel_addresses SET last_inbound_at = last_inbound_at - interval '25 hours'",
            "UPDATE channel_addresses SET last_inbound_at = last_inbound_at + interval '25 hours'",
            "window",
        ),
        ("UPDATE whatsapp_sends SET used = used + 3", "UPDATE whatsapp_sends SET used = used - 3", "quota"),
        (
            "UPDATE channel_chunks SET state = 'unknown' WHERE state = 'failed'",
            "UPDATE channel_chunks SET state = 'failed', metering = NULL WHERE state = 'unknown'; UPDATE whatsapp_sends SET used = 0",
            "chunks verdict",
        ),
        (
            "UPDATE channel_chunks SET error_message = 'cancelled by the product' WHERE state = 'cancelled'",
            "UPDATE channel_chunks SET error_message = 'an earlier part was not sent' WHERE state = 'cancelled'",
            "cancelled by the product",
        ),
        (
            "UPDATE channel_chunks SET state = 'delivered', sid = 'SM' || id WHERE state = 'cancelled'",
            "UPDATE channel_chunks SET state = 'cancelled', sid = NULL WHERE state = 'delivered' AND metering = 'used'; UPDATE whatsapp_sends SET used = 0",
            "a later part was sent",
        ),
        (
            "UPDATE channel_links SET ended_at = now()",
            "UPDATE channel_links SET ended_at = NULL",
            "not_linked",
        ),
    ];
    app.inject(&[("From", PERSON), ("Body", "STOP")]).await;
    app.drained().await;
    for (sets, lifts, words) in in_the_way {
        if words != "opted_out" {
            run_sql(&app, sets).await;
        }

        assert_refused(&retry(&app, "send_chunk").await, words);

        if words == "opted_out" {
            app.inject(&[("From", PERSON), ("Body", "START")]).await;
            app.drained().await;
        } else {
            run_sql(&app, lifts).await;
        }
    }

    assert_eq!(retry(&app, "send_chunk").await, all_retried("send_chunk", 1));
    app.drained_well().await;
    let said = app.said_to(PERSON);
    let sent: Vec<&String> = said.iter().filter(|body| body.contains("Part")).collect();
    assert_eq!(i64::try_from(sent.len()).unwrap(), chunks, "{said:?}");
    assert_eq!(app.count("SELECT used::BIGINT FROM whatsapp_sends").await, Some(chunks));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_failed_is_a_new_turn_on_the_same_messages() {
    let app = TestApp::start_with(&[("CLOUDYBOT__AGENT__ATTEMPTS", "1")]).await;
    app.write(PERSON, "/fail").await;
    app.replies(PERSON, 1).await;
    app.drained().await;

    assert_eq!(retry(&app, "answer").await, all_retried("answer", 1));
    app.until("it is dead once more", async || {
        app.count("SELECT count(*) FROM queue.dead WHERE payload ? 'retry_of'").await == Some(1)
    })
    .await;
    app.drained().await;
    assert_eq!(app.said_to(PERSON).len(), 1, "one apology is enough");
    run_sql(&app, "UPDATE channel_messages SET body = 'Hello'").await;
    assert_eq!(retry(&app, "answer").await, all_retried("answer", 1));
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON)[1..], ["You said: Hello"]);
    assert_eq!(
        app.text("SELECT string_agg(state || coalesce(retry_of, 0), ' ' ORDER BY id) FROM channel_turns")
            .await,
        "failed0 failed1 replied2"
    );
    assert_eq!(app.text("SELECT outcome || turn_id FROM channel_messages").await, "answered3");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_not_retried_for_somebody_whom_it_could_not_reach() {
    let app = TestApp::start_with(&[("CLOUDYBOT__AGENT__ATTEMPTS", "1")]).await;
    app.write(PERSON, "/fail").await;
    app.replies(PERSON, 1).await;
    app.drained().await;

    run_sql(&app, "UPDATE channel_addresses SET last_inbound_at = now() - interval '25 hours'").await;
    assert_refused(&retry(&app, "answer").await, "window");
    run_sql(&app, "UPDATE channel_addresses SET last_inbound_at = now()").await;
    app.product(Method::DELETE, "/users/whatsapp%3A%2B15005550100/whatsapp", Value::Null).await;
    assert_refused(&retry(&app, "answer").await, "not_linked");

    assert_eq!(app.said_to(PERSON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_decided_about_is_decided_about_once_more() {
    let app = TestApp::start().await;
    let write = async || {
        app.write(PERSON, "Hello").await;
    };
    die(&app, "receive_message", BREAK_MESSAGES, write).await;
    assert_eq!(app.text("SELECT outcome FROM channel_messages").await, "failed");
    run_sql(&app, MEND).await;

    assert_eq!(retry(&app, "receive_message").await, all_retried("receive_message", 1));
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON)[1..], ["You said: Hello"], "behind the apology");
    assert_eq!(app.text("SELECT outcome FROM channel_messages").await, "answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_gives_way_once_and_its_writer_reads_one_apology() {
    let app = TestApp::start().await;
    let write = async || {
        app.write(PERSON, "Hello").await;
    };
    die(&app, "receive_message", BREAK_MESSAGES, write).await;
    let again = async || {
        retry(&app, "receive_message").await;
    };
    die(&app, "receive_message", "SELECT", again).await;

    assert_refused(&retry(&app, "receive_message").await, "once already");
    assert_eq!(app.said_to(PERSON).len(), 1);
}

fn duty(content: &str) -> String {
    format!("cron = \"0 0 29 2 *\"\n[audience]\neveryone = true\n[content]\n{content}\n")
}

/// Fires a schedule with this content once it is loaded.
async fn fire(app: &TestApp, content: &str) {
    app.link(PERSON).await;
    app.write_schedule("news", &duty(content));
    app.until("it is loaded", async || app.count("SELECT count(*) FROM channel_schedules").await == Some(1))
        .await;
    assert!(app.command(&["schedules", "fire", "news"]).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_that_gave_up_goes_on_in_another_slot_while_its_time_lasts() {
    let app = TestApp::start().await;
    let breaks = "CREATE FUNCTION broken() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
        CREATE TRIGGER broken BEFORE INSERT ON channel_slot_users FOR EACH ROW EXECUTE FUNCTION broken()";
    die(&app, "run_duty", breaks, async || fire(&app, "message = \"It is on.\"").await).await;
    run_sql(&app, MEND).await;

    assert!(app.command(&["schedules", "disable", "news"]).await.0);
    assert_refused(&retry(&app, "run_duty").await, "switched off");
    assert!(app.command(&["schedules", "enable", "news"]).await.0);
    run_sql(&app, "UPDATE channel_slots SET moment = moment - interval '3 hours'").await;
    assert_refused(&retry(&app, "run_duty").await, "its time is over");
    run_sql(&app, "UPDATE channel_slots SET moment = moment + interval '3 hours'").await;
    assert_eq!(retry(&app, "run_duty").await, all_retried("run_duty", 1));
    app.drained_well().await;

    assert_eq!(app.said_to(PERSON).len(), 1);
    assert_eq!(
        app.text("SELECT string_agg(state || coalesce(retry_of, 0), ' ' ORDER BY id) FROM channel_slots")
            .await,
        "failed0 done1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_gave_up_is_asked_again_for_its_users_part() {
    let app = TestApp::start().await;
    let breaks = "CREATE FUNCTION broken() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
        CREATE TRIGGER broken BEFORE INSERT ON channel_turns FOR EACH ROW EXECUTE FUNCTION broken()";
    die(&app, "prompt_user", breaks, async || fire(&app, "prompt = \"Weather?\"").await).await;
    assert_eq!(app.text("SELECT outcome FROM channel_slot_users").await, "agent_failed");
    run_sql(&app, MEND).await;

    assert_eq!(retry(&app, "prompt_user").await, all_retried("prompt_user", 1));
    app.drained_well().await;

    assert!(app.said_to(PERSON)[0].contains("Weather?"));
    assert_eq!(app.text("SELECT outcome || times_given FROM channel_slot_users").await, "planned2");
    assert_eq!(app.text("SELECT state FROM channel_slots").await, "failed", "what has ended stays as it is");
}

/// Seven dead jobs of a pool: five of which nothing comes in front, one of these since the database refuses it, and two that wait once they are retried.
const MANY: &str = "
    INSERT INTO queue.pauses (scope, name, paused_by) VALUES ('kind', 'close_slot', 'the test');
    CREATE FUNCTION broken() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
    CREATE TRIGGER broken BEFORE INSERT ON queue.jobs FOR EACH ROW WHEN (NEW.lane = 'broken') EXECUTE FUNCTION broken();
    INSERT INTO queue.dead (id, created_at, attempt, max_attempts, crashes, priority, kind, pool, lane, reason, payload)
    SELECT nextval('queue.job_ids'), now(), 1, 1, 0, 0, CASE WHEN n <= 4 THEN 'post_alert' ELSE 'close_slot' END, 'elsewhere',
           CASE WHEN n = 5 THEN 'broken' END, 'no', '{\"alert\": 1}'
    FROM generate_series(1, 7) n ORDER BY n";

fn counted(retried: usize, refused: usize) -> (Value, Value) {
    (json!(retried), json!(refused))
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_jobs_keep_nobody_from_those_behind_them_and_each_is_met_once() {
    let app = TestApp::start().await;
    run_sql(&app, MANY).await;

    let (mut answers, mut request) = (Vec::new(), json!({ "pool": "elsewhere", "limit": 3 }));
    loop {
        let (status, answer) = app.admin(Method::POST, "/jobs/retry", request.clone()).await;
        assert_eq!(status, 200, "{answer}");
        request["after"] = answer["next"].clone();
        answers.push(answer);
        if request["after"].is_null() {
            break;
        }
    }

    let rests: Vec<_> = answers.iter().map(|answer| answer["rest"].clone()).collect();
    assert_eq!(rests, [4, 1, 0]);
    let kinds: Vec<_> =
        answers.iter().flat_map(|answer| answer["kinds"].as_array().unwrap().clone()).collect();
    let told: Vec<_> = kinds.iter().map(|kind| (kind["retried"].clone(), kind["refused"].clone())).collect();
    // In the second step: the job that the database refuses, one of close_slot, the last of post_alert.
    assert_eq!(told, [counted(0, 3), counted(0, 1), counted(1, 0), counted(0, 1), counted(1, 0)]);
    assert_eq!(app.count("SELECT count(*) FROM queue.jobs WHERE pool = 'elsewhere'").await, Some(2));
    assert_eq!(app.count("SELECT count(*) FROM queue.audit WHERE action = 'retry'").await, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_at_a_terminal_goes_on_to_its_end_and_says_how_many_became_what() {
    let app = TestApp::start().await;
    run_sql(&app, MANY).await;

    let (well, told) = app.command(&["jobs", "retry", "--pool", "elsewhere", "--step", "3"]).await;

    assert!(well, "{told}");
    for words in ["3 of 7 jobs", "6 of 7 jobs", "7 of 7 jobs", "post_alert: 0 retried, 4 refused"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(told.contains("close_slot: 2 retried, 0 refused"), "{told}");
    assert!(told.contains("others: 0 retried, 1 refused (1 of them: the database refused"), "{told}");
}
