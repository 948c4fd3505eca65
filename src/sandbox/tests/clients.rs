//! What Twilio's own clients ask for beside creates and lists.

use reqwest::Method;
use sandbox::faults::Faults;
use serde_json::{Value, json};

use crate::account::{ACCOUNT_SID, API_KEY, API_SECRET, AUTH_TOKEN, Account, BUSINESS, PERSON, error};

const SERVICE: &str = "MG00000000000000000000000000000001";

/// A create with just these fields, and its status and answer.
async fn create(account: &Account, fields: &[(&str, &str)]) -> (u16, Value) {
    let response = account.api(Method::POST, "/Messages.json").form(fields).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_messaging_service_stands_in_for_the_sender() {
    let account = Account::open().await;

    let (status, sent) =
        create(&account, &[("To", PERSON), ("MessagingServiceSid", SERVICE), ("Body", "hi")]).await;
    assert_eq!((status, &sent["status"], &sent["from"]), (201, &json!("accepted"), &Value::Null));
    assert_eq!(sent["messaging_service_sid"], SERVICE);
    let (status, _) = create(&account, &[("To", PERSON), ("From", SERVICE), ("Body", "hi")]).await;
    assert_eq!(status, 201);
    account.wait_for_status("delivered").await;
    let path = format!("/Messages/{}.json", sent["sid"].as_str().unwrap());
    let fetched: Value = account.get(&path).await.json().await.unwrap();
    assert_eq!((&fetched["from"], &fetched["messaging_service_sid"]), (&json!(BUSINESS), &json!(SERVICE)));

    let (status, refused) =
        create(&account, &[("To", PERSON), ("MessagingServiceSid", "MG1"), ("Body", "hi")]).await;
    assert_eq!((status, &refused["code"]), (400, &json!(21701)));
    let (status, refused) = create(&account, &[("To", PERSON), ("Body", "hi")]).await;
    assert_eq!((status, &refused["code"]), (400, &json!(21603)));
}

#[tokio::test]
async fn a_scheduled_message_can_be_called_off_and_no_other() {
    let account = Account::open().await;
    let cancel = async |message: &Value| {
        let path = format!("/Messages/{}.json", message["sid"].as_str().unwrap());
        account.api(Method::POST, &path).form(&[("Status", "canceled")]).send().await.unwrap()
    };
    let sent = account.create(&[("Body", "hi")]).await;
    let in_an_hour = account.sandbox.messages()[0].created_at + chrono::TimeDelta::hours(1);
    let later = in_an_hour.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let scheduling = |more: &[(&'static str, &str)]| {
        let fields = [("To", PERSON), ("Body", "hi"), ("ScheduleType", "fixed")];
        fields.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
    };

    let fields = scheduling(&[("MessagingServiceSid", SERVICE), ("SendAt", &later)]);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, scheduled) = create(&account, &fields).await;
    assert_eq!((status, &scheduled["status"]), (201, &json!("scheduled")), "{scheduled}");
    let canceled = cancel(&scheduled).await;
    assert_eq!(canceled.status(), 200);
    assert_eq!(canceled.json::<Value>().await.unwrap()["status"], "canceled");
    assert_eq!(error(cancel(&scheduled).await).await, (409, 30409));
    assert_eq!(error(cancel(&sent).await).await, (409, 30409));

    for (more, code) in [
        (vec![("From", BUSINESS), ("SendAt", later.as_str())], 35118),
        (vec![("MessagingServiceSid", SERVICE)], 35111),
        (vec![("MessagingServiceSid", SERVICE), ("SendAt", "soon")], 35115),
        (vec![("MessagingServiceSid", SERVICE), ("SendAt", "2000-01-01T00:00:00Z")], 35115),
    ] {
        let fields = scheduling(&more);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, refused) = create(&account, &fields).await;
        assert_eq!((status, &refused["code"]), (400, &json!(code)), "{more:?}");
    }
}

#[tokio::test]
async fn a_file_is_told_of_and_deleted_whoever_sent_it() {
    let account = Account::open().await;
    let outbound = account.create(&[("MediaUrl", "https://files.example/cat.png")]).await;
    let url = account.sandbox.add_media("image/png", b"a picture".to_vec());
    let written = account.inject(&[("MediaUrl0", &url), ("deliver", "false")]).await;

    for (message, content_type) in [(&outbound, "application/octet-stream"), (&written, "image/png")] {
        let message = message["sid"].as_str().unwrap();
        let path = format!("/Messages/{message}/Media.json");
        let list: Value = account.get(&path).await.json().await.unwrap();
        let listed = &list["media_list"][0];
        let sid = listed["sid"].as_str().unwrap();
        assert!(sid.len() == 34 && sid.starts_with("ME"), "{sid}");
        assert_eq!((&listed["parent_sid"], &listed["content_type"]), (&json!(message), &json!(content_type)));
        let file = format!("/Messages/{message}/Media/{sid}");
        assert_eq!(listed["uri"], format!("/2010-04-01/Accounts/{ACCOUNT_SID}{file}.json"));

        let fetched: Value = account.get(&format!("{file}.json")).await.json().await.unwrap();
        assert_eq!(&fetched, listed);
        let deleted = account.api(Method::DELETE, &format!("{file}.json")).send().await.unwrap();
        assert_eq!(deleted.status(), 204);
        assert_eq!(error(account.get(&format!("{file}.json")).await).await, (404, 20404));
        assert_eq!(error(account.get(&file).await).await, (404, 20404));
        let list: Value = account.get(&path).await.json().await.unwrap();
        assert_eq!(list["media_list"], json!([]));
    }
}

#[tokio::test]
async fn feedback_is_answered_and_an_unknown_outcome_refused() {
    let account = Account::open().await;
    let message = account.create(&[("Body", "hi")]).await;
    let path = format!("/Messages/{}/Feedback.json", message["sid"].as_str().unwrap());
    let give = |outcome| account.api(Method::POST, &path).form(&[("Outcome", outcome)]).send();

    let given = give("confirmed").await.unwrap();
    assert_eq!(given.status(), 201);
    let given: Value = given.json().await.unwrap();
    assert_eq!((&given["outcome"], &given["message_sid"]), (&json!("confirmed"), &message["sid"]));
    assert_eq!(error(give("maybe").await.unwrap()).await, (400, 20001));
    let unknown = account.api(Method::POST, "/Messages/SM00000000000000000000000000000000/Feedback.json");
    assert_eq!(error(unknown.send().await.unwrap()).await, (404, 20404));
}

#[tokio::test]
async fn an_api_key_is_as_good_as_the_auth_token() {
    let account = Account::open().await;
    let list = |user, password| {
        let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
        account.request(Method::GET, &path).basic_auth(user, Some(password)).send()
    };

    for (user, password) in [(API_KEY, API_SECRET), (ACCOUNT_SID, AUTH_TOKEN)] {
        assert_eq!(list(user, password).await.unwrap().status(), 200, "{user}");
    }
    for (user, password) in [(API_KEY, AUTH_TOKEN), (ACCOUNT_SID, API_SECRET), ("SK1", API_SECRET)] {
        let refused = list(user, password).await.unwrap();
        let body: Value = refused.json().await.unwrap();
        assert_eq!((&body["status"], &body["code"]), (&json!(401), &json!(20003)), "{user}");
        assert!(body["message"].as_str().unwrap().contains(API_KEY), "{body}");
    }
}

#[tokio::test]
async fn a_list_shows_what_lists_of_real_accounts_can_show() {
    let template = "HX00000000000000000000000000000001";
    let account = Account::open().await;
    let made_of = [("ContentSid", template), ("ContentVariables", r#"{"1":"Ann","2":"17"}"#)];
    account.create(&made_of).await;
    let shown = async |faults: Faults| -> Value {
        account.sandbox.set_faults(faults);
        let list: Value = account.get("/Messages.json").await.json().await.unwrap();
        list["messages"][0].clone()
    };

    let texts = [(template.to_owned(), "Hi {{1}}, order {{2}} is on its way.".to_owned())];
    let rendered = shown(Faults { template_texts: texts.into(), ..Faults::default() }).await;
    assert_eq!(rendered["body"], "Hi Ann, order 17 is on its way.");
    let nulls = vec!["body".to_owned(), "date_sent".to_owned(), "num_media".to_owned()];
    let nulls = shown(Faults { null_fields: nulls, ..Faults::default() }).await;
    assert_eq!([&nulls["body"], &nulls["date_sent"], &nulls["num_media"]], [&Value::Null; 3]);
    assert_eq!(nulls["to"], PERSON);
    let redacted = Faults { redacted: 1.0, masked_numbers: 1.0, ..Faults::default() };
    let redacted = shown(redacted).await;
    assert_eq!((&redacted["body"], &redacted["to"]), (&json!(""), &json!("whatsapp:+1500555XXXX")));
}

#[tokio::test]
async fn what_the_sandbox_has_not_is_said_in_twilios_form() {
    let account = Account::open().await;

    let method = account.api(Method::DELETE, "/Messages.json").send().await.unwrap();
    assert_eq!(error(method).await, (405, 20004));
    let path = account.api(Method::GET, "/Calls.json").send().await.unwrap();
    assert_eq!(error(path).await, (404, 20404));
}
