//! The stream of what changes on the page.

use reqwest::{Method, Response};
use sandbox::faults::Faults;
use serde_json::Value;

use crate::account::{Account, PATIENCE, settings};
use crate::receiver::Receiver;

pub(crate) struct Stream {
    response: Response,
    read: String,
}

impl Stream {
    pub(crate) async fn open(account: &Account, query: &str, last: Option<&str>) -> Self {
        let request = account.request(Method::GET, &format!("/sandbox/events?phones=%2B15005550100{query}"));
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        Self { response: request.send().await.unwrap(), read: String::new() }
    }

    /// The next event: its id and data.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim().to_owned())
                };
                let (id, data) = (field("id:"), field("data:"));
                self.read = rest.to_owned();
                if let (Some(id), Some(data)) = (id, data) {
                    return (id, serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("no event came");
            self.read.push_str(std::str::from_utf8(&chunk.unwrap().expect("the stream ended")).unwrap());
        }
    }

    /// Follows until a message is shown like this; returns the last id.
    async fn until_shown(&mut self, text: &str) -> String {
        loop {
            let (id, data) = self.next().await;
            let messages = data["messages"].as_array().unwrap();
            if messages.iter().any(|message| message["html"].as_str().unwrap().contains(text)) {
                return id;
            }
        }
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing_and_gets_nothing_anew() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    let mut stream = Stream::open(&account, "", None).await;
    let (_, all) = stream.next().await;
    assert_eq!((&all["reset"], all["messages"].as_array().unwrap().len()), (&true.into(), 0));
    account.create(&[("Body", "first"), ("StatusCallback", &receiver.url)]).await;
    let last = stream.until_shown("tick-delivered").await;
    receiver.statuses(2).await;
    drop(stream);

    for body in ["second", "third"] {
        account.create(&[("Body", body)]).await;
    }
    let mut again = Stream::open(&account, "&after=old", Some(&last)).await;
    let (_, missed) = again.next().await;

    let shown: Vec<&str> = missed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["html"].as_str().unwrap())
        .collect();
    assert!(shown.len() == 2 && shown[0].contains("second") && shown[1].contains("third"), "{shown:?}");
    assert_eq!(missed["reset"], false);
    assert!(missed["requests"].as_array().unwrap().len() >= 2);
}

#[tokio::test]
async fn only_the_phones_of_the_page_are_told_of() {
    let account = Account::open().await;
    let mut stream = Stream::open(&account, "", None).await;
    stream.next().await;

    account.create(&[("To", "whatsapp:+15005550199"), ("Body", "for another")]).await;
    account.create(&[("Body", "for this one")]).await;

    let mut shown = Vec::new();
    while !shown.iter().any(|html: &String| html.contains("for this one")) {
        let (_, data) = stream.next().await;
        let messages = data["messages"].as_array().unwrap();
        shown.extend(messages.iter().map(|message| message["html"].as_str().unwrap().to_owned()));
    }
    assert!(!shown.iter().any(|html| html.contains("for another")), "{shown:?}");
}

#[tokio::test]
async fn what_was_forgotten_and_what_an_earlier_process_told_begins_anew() {
    let account = Account::open().await;
    account.create(&[("Body", "forgotten")]).await;
    let mut stream = Stream::open(&account, "", None).await;
    let last = stream.until_shown("forgotten").await;

    account.request(Method::DELETE, "/sandbox/messages").send().await.unwrap();
    account.create(&[("Body", "new")]).await;
    let (_, forgotten) = Stream::open(&account, "", Some(&last)).await.next().await;
    let other = Account::with(settings()).await;
    other.create(&[("Body", "of another process")]).await;
    let (_, another) = Stream::open(&other, "", Some(&last)).await.next().await;

    assert_eq!((&forgotten["reset"], forgotten["messages"].as_array().unwrap().len()), (&true.into(), 1));
    assert_eq!((&another["reset"], another["messages"].as_array().unwrap().len()), (&true.into(), 1));
}

#[tokio::test]
async fn switches_typing_and_names_are_told() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);
    let mut stream = Stream::open(&account, "", None).await;
    stream.next().await;

    account.sandbox.set_faults(Faults { drop_after: 0.5, ..Faults::default() });
    let (_, switched) = stream.next().await;
    let written = account.inject(&[("Body", "hi"), ("ProfileName", "Zoë")]).await;
    receiver.event().await;
    let sid = written["sid"].as_str().unwrap();
    let indicator = serde_json::json!({"channel": "WHATSAPP", "messageId": sid});
    let typing = account.request(Method::POST, "/v3/Indicators/Typing.json").json(&indicator);
    typing.basic_auth(crate::account::ACCOUNT_SID, Some(crate::account::AUTH_TOKEN)).send().await.unwrap();

    let drop_after = &switched["controls"]["switches"]["drop_after"];
    assert_eq!((&drop_after["on"], &drop_after["chance"]), (&true.into(), &"50 %".into()));
    loop {
        let (_, data) = stream.next().await;
        let Some(phone) = data["phones"].as_array().unwrap().first() else { continue };
        assert_eq!((&phone["name"], &phone["initial"]), (&"Zoë".into(), &"Z".into()));
        if phone["typing"].as_i64().unwrap() > 0 {
            break;
        }
    }
    account.create(&[("Body", "there")]).await;
    loop {
        let (_, data) = stream.next().await;
        if data["phones"].as_array().unwrap().first().is_some_and(|phone| phone["typing"] == 0) {
            break;
        }
    }
}
