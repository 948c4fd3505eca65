//! The way in: who is believed, and what is stored.

use crate::support::{ACCOUNT_SID, NUMBER, PERSON, TestApp};

const PATH: &str = "/webhooks/whatsapp";

fn form(sid: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("MessageSid", sid),
        ("From", PERSON),
        ("To", NUMBER),
        ("AccountSid", ACCOUNT_SID),
        ("Body", "Hello"),
    ]
}

async fn stored(app: &TestApp) -> i64 {
    app.count("SELECT (SELECT count(*) FROM channel_messages) + (SELECT count(*) FROM channel_addresses) + (SELECT count(*) FROM queue.jobs WHERE kind <> 'upkeep')").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_twilio_did_not_sign_is_refused_and_not_stored() {
    let app = TestApp::start().await;
    let form = form("SM1");
    let good = app.sign(PATH, &form);
    let tampered = [&form[..4], &[("Body", "STOP")]].concat();

    let refused = [
        ("no signature", app.post(PATH, &form, None).await),
        ("an empty signature", app.post(PATH, &form, Some("")).await),
        ("another body", app.post(PATH, &tampered, Some(&good)).await),
        ("another URL", app.post(&format!("{PATH}?x=1"), &form, Some(&good)).await),
        ("another token", app.post(PATH, &form, Some(&app.sign_with("other", PATH, &form))).await),
        ("no signature on a status", app.post("/webhooks/whatsapp/status", &form, None).await),
    ];

    for (what, answer) in refused {
        assert_eq!(answer.status(), 403, "{what}");
    }
    assert_eq!(stored(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_but_no_message_of_ours_is_refused_and_not_stored() {
    let app = TestApp::start().await;
    let cases = [
        ("no From", vec![("MessageSid", "SM1")], 400),
        ("no SID", vec![("From", PERSON)], 400),
        ("a From that is no WhatsApp address", vec![("MessageSid", "SM1"), ("From", "+15005550100")], 400),
        (
            "a foreign account",
            vec![
                ("MessageSid", "SM1"),
                ("From", PERSON),
                ("AccountSid", "AC00000000000000000000000000000000"),
            ],
            403,
        ),
        (
            "a foreign number",
            vec![("MessageSid", "SM1"), ("From", PERSON), ("To", "whatsapp:+14155550000")],
            403,
        ),
    ];

    for (what, form, status) in cases {
        let answer = app.post(PATH, &form, Some(&app.sign(PATH, &form))).await;
        assert_eq!(answer.status(), status, "{what}");
    }
    let large = "x".repeat(70_000);
    let form = [("MessageSid", "SM1"), ("From", PERSON), ("Body", &large)];
    assert_eq!(app.post(PATH, &form, Some(&app.sign(PATH, &form))).await.status(), 413);
    assert_eq!(stored(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_message_gets_an_empty_answer_in_twiml() {
    let app = TestApp::start().await;
    app.link(PERSON).await;
    let form = [("SmsSid", "SM1"), ("From", PERSON)];

    let answer = app.post(PATH, &form, Some(&app.sign(PATH, &form))).await;

    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/xml; charset=utf-8");
    assert_eq!(
        answer.text().await.unwrap(),
        r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#
    );
    assert_eq!(app.replies(PERSON, 1).await[0].body, "You sent something without words.");
    app.drained_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_once_though_its_webhook_comes_fifty_times_at_once() {
    let app = TestApp::start().await;
    let form = form("SMfifty");
    let signature = app.sign(PATH, &form);

    let answers = futures::future::join_all((0..50).map(|_| app.post(PATH, &form, Some(&signature)))).await;
    app.replies(PERSON, 1).await;
    let again = app.post(PATH, &form, Some(&signature)).await;
    app.drained_well().await;

    assert!(answers.iter().all(|answer| answer.status() == 200), "{answers:?}");
    assert_eq!(again.status(), 200);
    assert_eq!(app.sandbox.sent_to(PERSON).len(), 1);
    assert_eq!(app.count("SELECT count(*) FROM channel_messages").await, Some(1));
    assert_eq!(app.count("SELECT count(*) FROM channel_addresses").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_twilio_sent_is_kept() {
    let app = TestApp::start().await;
    let form =
        [("MessageSid", "SM1"), ("From", PERSON), ("Body", "hi\u{0}there 👋"), ("BrandNewParameter", "x y")];

    app.post(PATH, &form, Some(&app.sign(PATH, &form))).await;

    assert_eq!(app.text("SELECT params->>'BrandNewParameter' FROM channel_messages").await, "x y");
    assert_eq!(app.text("SELECT body FROM channel_messages").await, "hi\u{fffd}there 👋");
    app.replies(PERSON, 1).await;
    app.drained_well().await;
}

/// A burst of webhooks shares its transactions; whoever is busy, new or says STOP is dealt with alone, and each has a trace of its own.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_burst_every_message_is_taken_in_once_and_nobody_waits_for_another_person() {
    let app = TestApp::start().await;
    let people: Vec<String> = (0..20).map(|n| format!("whatsapp:+150055502{n:02}")).collect();
    for person in &people {
        app.write(person, "Hello").await;
    }
    app.drained_well().await;
    let mut busy = app.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM channel_addresses WHERE id = (SELECT address_id FROM channel_address_aliases WHERE alias = $1) FOR NO KEY UPDATE")
        .bind(&people[7])
        .execute(&mut *busy)
        .await
        .unwrap();

    let send = async |number: usize, from: &str, body: &str| {
        let sid = format!("SMburst{number}");
        let form = [("MessageSid", sid.as_str()), ("From", from), ("Body", body)];
        let answer = app.post(PATH, &form, Some(&app.sign(PATH, &form))).await;
        answer.status().as_u16()
    };
    let free = people.iter().enumerate().filter(|(n, _)| *n != 7);
    let burst = free.flat_map(|(n, person)| {
        let second = if n == 3 { "STOP" } else { "And another" };
        [send(n, person, "One"), send(100 + n, person, second), send(n, person, "One")]
    });
    let waiting = send(7, &people[7], "Busy");
    let others = async {
        let statuses = futures::future::join_all(burst).await;
        let stranger = send(500, "whatsapp:+15005550999", "A stranger").await;
        busy.rollback().await.unwrap();
        (statuses, stranger)
    };
    let (waited, (statuses, stranger)) = futures::future::join(waiting, others).await;
    app.drained().await;

    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!((waited, stranger), (200, 200));
    let burst = "SELECT count(*) FROM channel_messages WHERE sid LIKE 'SMburst%'";
    assert_eq!(app.count(burst).await, Some(19 * 2 + 2));
    let received = "SELECT count(DISTINCT traceparent) FROM queue.finished WHERE kind = 'receive_message' AND payload->>'message' IN (SELECT id::TEXT FROM channel_messages WHERE sid LIKE 'SMburst%')";
    // STOP is obeyed by the webhook itself.
    assert_eq!(app.count(received).await, Some(19 * 2 + 1));
    assert_eq!(app.count("SELECT count(*) FROM whatsapp_proactive_opt_outs").await, Some(1));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn many_connections_take_little_memory() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const CONNECTIONS: u64 = 200;
    let app = TestApp::start().await;
    let address = app.url("").replace("http://", "");
    let ask = async || {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        let read = connection.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        connection
    };
    ask().await;
    let before = app.memory_kib();

    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(ask().await);
    }

    let each = app.memory_kib().saturating_sub(before) / CONNECTIONS;
    assert!(each < 200, "a connection takes {each} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_twilio_quotes_in_a_callback_is_not_kept() {
    let app = TestApp::start().await;
    app.write(PERSON, "Hello").await;
    let sid = app.replies(PERSON, 1).await.remove(0).sid;
    app.drained_well().await;
    let quoting = "+1 500 555 0100 does not take \"You said: Hello\"";
    let report = async |sid: &str| {
        let form = [
            ("MessageSid", sid),
            ("MessageStatus", "failed"),
            ("ErrorCode", "63024"),
            ("ErrorMessage", quoting),
            ("To", PERSON),
        ];
        let path = "/webhooks/whatsapp/status";
        app.post(path, &form, Some(&app.sign(path, &form))).await.status()
    };

    assert_eq!(
        (report(&sid).await, report("SMforeign").await),
        (204.try_into().unwrap(), 204.try_into().unwrap())
    );
    app.drained().await;

    let kept = "+…0100 does not take \"[…]\"";
    let ours = "SELECT params->>'ErrorMessage' FROM channel_status_callbacks WHERE chunk_id IS NOT NULL AND error_code IS NOT NULL";
    assert_eq!(app.text(ours).await, kept);
    let foreign = "SELECT concat(params->>'To', ' ', params->>'ErrorMessage') FROM channel_status_callbacks WHERE sid = 'SMforeign'";
    assert_eq!(app.text(foreign).await, "whatsapp:+1500…0100 +…0100 does not take \"You said: Hello\"");
    let chunk = app.text("SELECT concat(state, ' ', error_message) FROM channel_chunks").await;
    assert!(chunk == format!("failed {kept}") || !chunk.contains("Hello"), "{chunk}");
    assert!(!app.logged().contains("500 555") && !app.logged().contains("15005550100"));
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_number_is_ours_in_either_spelling() {
    let app = TestApp::start_with(&[("TWILIO_WHATSAPP_NUMBER", "+525512345678")]).await;
    let to = |sid: &'static str, to: &'static str| {
        let mut form = form(sid);
        form[2] = ("To", to);
        form
    };
    let mut statuses = Vec::new();

    for form in [
        to("SM1", "whatsapp:+525512345678"),
        to("SM2", "whatsapp:+5215512345678"),
        to("SM3", "whatsapp:+5215512345679"),
    ] {
        statuses.push(app.post(PATH, &form, Some(&app.sign(PATH, &form))).await.status().as_u16());
    }

    assert_eq!(statuses, [200, 200, 403]);
}
