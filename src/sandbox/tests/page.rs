//! The page with the phones, as a browser without scripts meets it.

use reqwest::Method;
use sandbox::faults::Faults;

use crate::account::{API_KEY, Account};
use crate::phone::{get, page};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_newcomer_finds_one_phone_and_a_program_the_help() {
    let account = Account::open().await;

    let response = get(&account, "/sandbox").await;
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let page = response.text().await.unwrap();
    let help = account.request(Method::GET, "/sandbox").send().await.unwrap().text().await.unwrap();

    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.matches("<article class=\"phone").count(), 1);
    assert!(page.contains("Write <strong>Hello</strong>") && page.contains("data-number=\"+15005550100\""));
    assert!(!page.contains("style=") && !page.contains("<script>") && !page.contains(" onclick"));
    assert!(help.starts_with("A Twilio that runs on this machine.") && help.contains("curl -d"), "{help}");
}

#[tokio::test]
async fn the_files_of_the_page_are_there() {
    let account = Account::open().await;
    let page = page(&account).await;

    for (attribute, kind) in [("href=\"/assets/", "text/css"), ("src=\"/assets/", "text/javascript")] {
        let at = page.find(attribute).unwrap() + attribute.len();
        let name = page[at..].split('"').next().unwrap();
        let response = get(&account, &format!("/assets/{name}")).await;
        assert_eq!(response.status(), 200, "{name}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with(kind), "{name}");
    }
}

#[tokio::test]
async fn phones_are_added_and_removed_by_the_address() {
    let account = Account::open().await;

    let two = get(&account, "/sandbox?phones=%2B15005550100&add=%2B15005550101").await;
    assert!(
        two.url().query().unwrap().starts_with("phones=%2B15005550100%2C%2B15005550101"),
        "{}",
        two.url()
    );
    let two = two.text().await.unwrap();
    let one = get(&account, "/sandbox?phones=%2B15005550100,%2B15005550101&remove=%2B15005550100").await;
    let one = one.text().await.unwrap();
    let refused = get(&account, "/sandbox?phones=%2B15005550100&add=hello").await;

    assert_eq!(two.matches("<article class=\"phone").count(), 2);
    assert!(one.contains("data-number=\"+15005550101\"") && !one.contains("data-number=\"+15005550100\""));
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("hello is nobody on WhatsApp"));
}

#[tokio::test]
async fn who_reads_has_the_service_told_so() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;
    assert_eq!(receiver.statuses(2).await, ["sent", "delivered"]);
    let form = |path: &str, fields: &[(&str, &str)]| {
        account.request(Method::POST, path).header("accept", "text/plain").form(fields).send()
    };

    let shows = [("show", "+15005550100"), ("reads", "on")];
    assert_eq!(form("/sandbox/phone/reading", &shows).await.unwrap().status(), 204);
    assert!(page(&account).await.contains("name=\"reads\" checked"));
    assert_eq!(form("/sandbox/phone/read", &shows[..1]).await.unwrap().status(), 204);
    let event = receiver.event().await;
    form("/sandbox/phone/read", &shows[..1]).await.unwrap();
    form("/sandbox/phone/reading", &shows[..1]).await.unwrap();

    assert_eq!((event.param("MessageStatus"), event.param("EventType")), ("read", "READ"));
    assert!(receiver.is_idle());
    let page = page(&account).await;
    assert!(page.contains("tick-read") && !page.contains("name=\"reads\" checked"));
}

#[tokio::test]
async fn faults_are_switched_with_words() {
    let account = Account::open().await;
    let set = |fields: &[(&str, &str)]| {
        account
            .request(Method::POST, "/sandbox/phone/faults")
            .header("accept", "text/plain")
            .form(fields)
            .send()
    };

    assert_eq!(set(&[("chance", "0.2"), ("rate_limited", "on")]).await.unwrap().status(), 204);
    let page = page(&account).await;
    let refused = set(&[("chance", "2"), ("drop_after", "on")]).await.unwrap();

    assert!(
        page.contains("name=\"rate_limited\" checked")
            && page.contains("Twilio answers 429")
            && page.contains("20 %")
    );
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.text().await.unwrap(), "drop_after is a probability: set it from 0 to 1");
    let faults: Faults =
        account.request(Method::GET, "/sandbox/faults").send().await.unwrap().json().await.unwrap();
    assert_eq!(faults, Faults { rate_limited: 0.2, ..Faults::default() });
}

#[tokio::test]
async fn the_requests_of_both_sides_are_listed_with_what_they_were_answered() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[(500, "text/plain", "not now")]).await;
    account.sandbox.set_webhook_url(format!("{}#rc=2&rp=all", receiver.url));

    account.inject(&[("Body", "hi")]).await;
    account.create(&[("Body", "the answer"), ("StatusCallback", &receiver.url)]).await;
    account.creating(&[("To", "nobody"), ("Body", "hi")]).send().await.unwrap();
    account.get("/Messages.json?PageSize=7").await;
    for _ in 0..2 {
        receiver.event().await;
    }
    receiver.statuses(2).await;
    account.wait_for_status("delivered").await;

    let page = page(&account).await;
    for expected in [
        "A person wrote: hi",
        "2 tries",
        "not now",
        "Send: the answer",
        "Status: sent",
        "List messages",
        "PageSize",
        "21211",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(page.find("List messages") < page.find("A person wrote: hi"), "the newest come first");
    assert!(!page.contains(API_KEY) && !page.contains("Authorization"));
}
