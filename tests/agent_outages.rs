//! An agent that answers nobody for a while: one apology to each person, one alert to the operator, both over when it answers again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::agent::{APOLOGY, turns_of};
use crate::gateway::{Gateway, Run};
use crate::support::processes::free_address;
use crate::support::{PERSON, TestApp};

pub(crate) const OTHER: &str = "whatsapp:+15005550101";

/// A gateway that does this while it is down, and otherwise answers; and its switch.
pub(crate) async fn gateway_with(while_down: Run) -> (Gateway, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(true));
    let switch = down.clone();
    let gateway = Gateway::chatting(move |_, _| {
        if switch.load(Ordering::Relaxed) { while_down.clone() } else { Run::Say("Well.", Duration::ZERO) }
    })
    .await;
    (gateway, down)
}

/// Those about agents: that a job has died is told, too, if the upkeep looks in between.
async fn alerts(app: &TestApp) -> Vec<Value> {
    let (status, answer) = app.admin(Method::GET, "/alerts", Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    let mut alerts = answer["alerts"].as_array().unwrap().clone();
    alerts.retain(|alert| alert["cause"] != "dead_jobs");
    alerts
}

/// The outage that a status tells of.
fn outage(status: &Value) -> &Value {
    let findings = status["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["kind"] == "agent_outage").unwrap_or_else(|| panic!("{status}"))
}

/// Somebody writes, and everything that follows has happened.
pub(crate) async fn write(app: &TestApp, from: &str, text: &str) {
    app.write(from, text).await;
    app.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_one_apology_in_an_outage_and_another_in_the_next() {
    let (gateway, down) = gateway_with(Run::Refuse(500)).await;
    let env = [("OPENCLAW_BASE_URL", gateway.url.as_str()), ("CLOUDYBOT__AGENT__ATTEMPTS", "1")];
    let app = TestApp::start_with(&env).await;

    write(&app, PERSON, "one").await;
    write(&app, PERSON, "two").await;
    write(&app, OTHER, "three").await;
    let in_outage = [app.said_to(PERSON), app.said_to(OTHER)];
    let first_alerts = alerts(&app).await;
    down.store(false, Ordering::Relaxed);
    write(&app, OTHER, "four").await;
    let alerts_after = alerts(&app).await;
    down.store(true, Ordering::Relaxed);
    write(&app, PERSON, "five").await;

    assert_eq!(in_outage, [[APOLOGY], [APOLOGY]], "one for each");
    assert_eq!(app.said_to(PERSON), [APOLOGY, APOLOGY], "the next outage is another");
    let told: Vec<Value> =
        turns_of(&app, PERSON).await.iter().map(|turn| turn["noApology"].clone()).collect();
    assert_eq!(told, [Value::Null, json!("same_outage"), Value::Null], "the newest first");
    assert_eq!(first_alerts.len(), 1, "{first_alerts:?}");
    assert_eq!((&first_alerts[0]["cause"], &first_alerts[0]["times"]), (&json!("agent_failing"), &json!(3)));
    assert!(alerts_after.is_empty(), "it answers again: {alerts_after:?}");
    let outages = "SELECT string_agg(trouble || CASE WHEN closed_at IS NULL THEN ' lasts' ELSE ' is over' END, ', ' ORDER BY id) FROM channel_agent_outages";
    assert_eq!(app.text(outages).await, "failing is over, failing lasts");
    let again = alerts(&app).await;
    assert_eq!(again[0]["id"], first_alerts[0]["id"], "within the hour it is the same alert: {again:?}");
    assert_eq!(app.logged().matches("Alert 1, agent_failing: ").count(), 1);
    let (_, thread) =
        app.product(Method::GET, "/users/whatsapp%3A%2B15005550100/messages", Value::Null).await;
    let number = thread["messages"].as_array().unwrap().len();
    assert_eq!(number, 5, "three questions and two apologies: {thread}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_an_apology_is_not_told_in_the_same_outage_that_it_takes_longer() {
    let gateway = Gateway::chatting(|chat, before| match (chat.text.as_str(), before) {
        ("two", 0) => Run::Busy(3),
        ("three", _) => Run::Say("Well.", Duration::ZERO),
        _ => Run::Refuse(500),
    })
    .await;
    let env = [
        ("OPENCLAW_BASE_URL", gateway.url.as_str()),
        ("CLOUDYBOT__AGENT__ATTEMPTS", "1"),
        ("CLOUDYBOT__AGENT__TELL_AFTER", "1s"),
    ];
    let app = TestApp::start_with(&env).await;

    write(&app, PERSON, "one").await;
    app.write(PERSON, "two").await;
    app.until("both have failed", async || {
        app.count("SELECT count(*) FROM channel_turns WHERE state = 'failed'").await == Some(2)
    })
    .await;
    app.drained().await;
    let (_, story) = app.command(&["story", "2"]).await;
    write(&app, PERSON, "three").await;

    assert_eq!(app.said_to(PERSON), [APOLOGY, "Well."]);
    assert!(story.contains("it takes longer; the person has read an apology and is not told"), "{story}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_one_alert_with_its_remedy_until_it_is_right() {
    let (gateway, down) = gateway_with(Run::Refuse(401)).await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    write(&app, PERSON, "Hello").await;
    write(&app, OTHER, "Hello").await;
    let while_wrong = alerts(&app).await;
    down.store(false, Ordering::Relaxed);
    let (_, status) = app.admin(Method::GET, "/status", Value::Null).await;
    let (_, check) = app.exit_code(&[("OPENCLAW_BASE_URL", &gateway.url)], &["check", "--json"]).await;
    let check: Value = serde_json::from_str(&check).unwrap_or_else(|_| panic!("{check}"));
    write(&app, PERSON, "Hello again").await;

    let (lasts, past) = (outage(&status), outage(&check));
    assert_eq!((&lasts["urgency"], &past["urgency"]), (&json!("now"), &json!("soon")), "{lasts} {past}");
    assert!(lasts["agent"].as_str().unwrap().starts_with(&gateway.url), "{lasts}");
    assert!(past["text"].as_str().unwrap().starts_with("it works again; before, the agent"), "{past}");
    assert_eq!(while_wrong.len(), 1, "{while_wrong:?}");
    assert_eq!((&while_wrong[0]["cause"], &while_wrong[0]["times"]), (&json!("agent_token"), &json!(2)));
    let detail = while_wrong[0]["detail"].as_str().unwrap();
    assert!(detail.contains("OPENCLAW_TOKEN") && detail.contains("turns retry --since"), "{detail}");
    assert!(alerts(&app).await.is_empty());
    assert_eq!(app.count("SELECT count(*) FROM channel_alerts WHERE closed_at IS NOT NULL").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_set_up_is_an_alert_with_its_remedy_and_over_when_it_is_mended() {
    let address = free_address();
    let url = format!("http://{address}");
    let env = [
        ("OPENCLAW_BASE_URL", url.as_str()),
        ("CLOUDYBOT__AGENT__ATTEMPTS", "1"),
        ("CLOUDYBOT__AGENT__TURN_BUDGET", "10s"),
    ];
    let app = TestApp::start_with(&env).await;
    let shut = "litellm.AuthenticationError: OpenAIException - Incorrect API key provided";
    let name = "/chat/completions: Invalid model name passed in model=openclaw.";
    let faults = [
        (Run::Refuse(404), "agent_endpoint", "chatCompletions.enabled"),
        (Run::RefuseSaying(400, "Unknown agent: nobody"), "agent_name", "openclaw.agent_id"),
        (Run::Refuse(401), "agent_token", "OPENCLAW_TOKEN"),
        (Run::RefuseSaying(401, shut), "agent_provider", "the key of the model behind the gateway"),
        (Run::Refuse(500), "agent_failing", "the gateway's log"),
    ];
    let told = async |cause: &str, remedy: &str| {
        let alerts = alerts(&app).await;
        assert_eq!(alerts.len(), 1, "{cause}: {alerts:?}");
        assert_eq!(alerts[0]["cause"], cause);
        assert!(alerts[0]["detail"].as_str().unwrap().contains(remedy), "{cause}: {alerts:?}");
    };

    write(&app, PERSON, "Hello").await;
    told("agent_unreachable", "check OPENCLAW_BASE_URL").await;
    let now = Arc::new(Mutex::new(Run::Say("Well.", Duration::ZERO)));
    let said = now.clone();
    let _gateway = Gateway::chatting_at(address, move |_, _| said.lock().unwrap().clone()).await;
    for (fault, cause, remedy) in faults {
        write(&app, PERSON, "Hello again").await;
        assert!(alerts(&app).await.is_empty(), "before {cause}");
        *now.lock().unwrap() = fault;
        write(&app, PERSON, "Hello once more").await;
        told(cause, remedy).await;
        *now.lock().unwrap() = Run::Say("Well.", Duration::ZERO);
    }
    *now.lock().unwrap() = Run::RefuseSaying(400, name);
    write(&app, PERSON, "Well?").await;

    let detail = app.text("SELECT detail FROM channel_alerts WHERE cause = 'agent_name'").await;
    assert!(detail.contains("openclaw.model"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_has_locked_us_out_is_an_alert_while_it_is_waited_for_and_no_apology() {
    let gateway = Gateway::chatting(|_, before| match before {
        0 => Run::LockedOut(3),
        _ => Run::Say("Well.", Duration::ZERO),
    })
    .await;
    let app = TestApp::start_with(&[("OPENCLAW_BASE_URL", &gateway.url)]).await;

    app.write(PERSON, "Hello").await;
    app.until("the operator is told", async || alerts(&app).await.len() == 1).await;
    let open = alerts(&app).await;
    app.replies(PERSON, 1).await;
    app.drained_well().await;

    assert_eq!(open[0]["cause"], "agent_locked_out");
    assert!(alerts(&app).await.is_empty());
    assert_eq!(app.said_to(PERSON), ["Well."]);
    assert_eq!(app.count("SELECT count(*) FROM channel_agent_outages").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_users_own_gateway_is_in_the_turn_and_no_alert() {
    let (shared, _) = gateway_with(Run::Refuse(401)).await;
    let (own, _) = gateway_with(Run::Refuse(401)).await;
    let allowed = format!("[\"{}\"]", own.url.strip_prefix("http://").unwrap());
    let app = TestApp::start_with(&[
        ("OPENCLAW_BASE_URL", &shared.url),
        ("CLOUDYBOT__OPENCLAW__ALLOWED_HOSTS", &allowed),
    ])
    .await;
    let ask = async |user: &str, agent: Value| {
        app.product(Method::PUT, &format!("/users/{user}"), json!({ "agent": agent })).await;
        app.product(Method::POST, &format!("/users/{user}/messages"), json!({ "text": "Hello" })).await;
        app.drained().await;
        alerts(&app).await
    };

    let of_own = ask("alice", json!({ "baseUrl": own.url, "token": "wrong" })).await;
    let of_shared = ask("bob", json!({ "agentId": "home" })).await;

    assert!(of_own.is_empty(), "{of_own:?}");
    assert_eq!(of_shared.len(), 1, "the shared gateway is the operator's: {of_shared:?}");
    let turn = &turns_of(&app, "alice").await[0];
    assert!(turn["error"].as_str().unwrap().contains("the user's own"), "{turn}");
    assert_eq!(app.count("SELECT count(*) FROM channel_agent_outages").await, Some(2));
}
