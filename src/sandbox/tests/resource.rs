//! The routes of one message.

use reqwest::Method;
use serde_json::Value;

use crate::account::{Account, bodies, error};

#[tokio::test]
async fn a_message_is_fetched_by_its_id_and_an_unknown_one_is_not_found() {
    let account = Account::open().await;
    let created = account.create(&[("Body", "hi")]).await;

    let fetched: Value = account.get(&path(&created)).await.json().await.unwrap();
    let unknown = account.get("/Messages/SM00000000000000000000000000000000.json").await;

    assert_eq!((&fetched["sid"], &fetched["body"]), (&created["sid"], &"hi".into()));
    assert_eq!(error(unknown).await, (404, 20404));
}

#[tokio::test]
async fn an_empty_body_redacts_the_text_and_any_other_is_refused() {
    let account = Account::open().await;
    let path = path(&account.create(&[("Body", "a secret")]).await);
    let update = |body: &str| account.api(Method::POST, &path).form(&[("Body", body)]).send();

    let refused = update("another text").await.unwrap();
    let redacted: Value = update("").await.unwrap().json().await.unwrap();

    assert_eq!(error(refused).await, (400, 20001));
    assert_eq!(redacted["body"], "");
    assert_eq!(account.sandbox.messages()[0].body, "");
}

#[tokio::test]
async fn a_deleted_message_is_gone_at_twilio_and_still_known_to_tests() {
    let account = Account::open().await;
    let path = path(&account.create(&[("Body", "first")]).await);
    account.create(&[("Body", "second")]).await;

    let deleted = account.api(Method::DELETE, &path).send().await.unwrap();

    assert_eq!(deleted.status(), 204);
    assert_eq!(error(account.get(&path).await).await, (404, 20404));
    let again = account.api(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(error(again).await, (404, 20404));
    let list: Value = account.get("/Messages.json").await.json().await.unwrap();
    assert_eq!(bodies(&list), ["second"]);
    assert!(account.sandbox.messages()[0].deleted);
}

fn path(message: &Value) -> String {
    format!("/Messages/{}.json", message["sid"].as_str().unwrap())
}

#[tokio::test]
async fn a_web_page_that_gives_its_own_name_our_address_reads_nothing() {
    let account = Account::open().await;
    let get = async |path: &str, host: &str| {
        let url = format!("{}{path}", account.sandbox.base_url());
        account.http.get(url).header("Host", host).send().await.unwrap()
    };

    for path in ["/sandbox/messages", "/sandbox", "/2010-04-01/Accounts/AC1/Messages.json"] {
        assert_eq!(get(path, "evil.example").await.status(), 421, "{path}");
    }
    let answer = get("/sandbox/messages", "localhost:8081").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
}
