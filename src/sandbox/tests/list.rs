//! Filters, pages and lag of the list.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use sandbox::faults::Faults;
use sandbox::settings::{SandboxOptions, SandboxSettings};
use serde_json::Value;

use crate::account::{ACCOUNT_SID, AUTH_TOKEN, Account, BUSINESS, bodies, error, settings};

#[tokio::test]
async fn a_list_shows_the_newest_first_and_filters_by_both_addresses() {
    let account = Account::open().await;
    account.create(&[("Body", "to Ann"), ("To", "whatsapp:+15005550101")]).await;
    account.create(&[("Body", "to Ben"), ("To", "whatsapp:+15005550102")]).await;
    account.inject(&[("Body", "from Ann"), ("From", "whatsapp:+15005550101"), ("deliver", "false")]).await;

    let all = list(&account, &[]).await;
    let to_ann = list(&account, &[("To", "whatsapp:+15005550101")]).await;
    let inbound = list(&account, &[("From", "whatsapp:+15005550101"), ("To", BUSINESS)]).await;

    assert_eq!(bodies(&all), ["from Ann", "to Ben", "to Ann"]);
    assert_eq!(bodies(&to_ann), ["to Ann"]);
    assert_eq!(bodies(&inbound), ["from Ann"]);
}

#[tokio::test]
async fn a_filter_by_day_finds_what_left_on_that_day() {
    let account = Account::open().await;
    account.create(&[("Body", "hi")]).await;
    account.wait_for_status("delivered").await;
    let day = account.sandbox.messages()[0].sent_at.unwrap().date_naive();
    let (before, after) = (day.pred_opt().unwrap().to_string(), day.succ_opt().unwrap().to_string());
    let day = day.to_string();

    for (name, value, found) in [
        ("DateSent", &day, 1),
        ("DateSent", &after, 0),
        ("DateSent>", &day, 1),
        ("DateSent>", &after, 0),
        ("DateSent<", &day, 1),
        ("DateSent<", &before, 0),
        ("DateSent", &format!(">={day}"), 1),
        ("DateSent", &format!(">={after}"), 0),
        ("DateSent", &format!("<={day}"), 1),
        ("DateSent", &format!("<={before}"), 0),
        ("DateSent>", &format!("{day}T00:00:00Z"), 1),
    ] {
        assert_eq!(bodies(&list(&account, &[(name, value)]).await).len(), found, "{name}{value}");
    }
    let unreadable = account.api(Method::GET, "/Messages.json").query(&[("DateSent", "today")]);
    assert_eq!(error(unreadable.send().await.unwrap()).await, (400, 20001));
}

#[tokio::test]
async fn a_message_that_has_not_left_is_found_by_no_day() {
    let options = SandboxOptions { status_delay: Duration::from_secs(3600), ..settings().options };
    let account = Account::with(SandboxSettings { options, ..settings() }).await;
    account.create(&[("Body", "hi")]).await;

    assert_eq!(bodies(&list(&account, &[]).await), ["hi"]);
    assert!(bodies(&list(&account, &[("DateSent>", "2000-01-01")]).await).is_empty());
}

#[tokio::test]
async fn following_the_pages_meets_each_of_120_messages_once() {
    let account = Account::open().await;
    for number in 0..120 {
        account.create(&[("Body", &number.to_string())]).await;
    }

    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    let mut next = Some(format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"));
    while let Some(uri) = next {
        let request = account.request(Method::GET, &uri).basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN));
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        sizes.push(bodies(&page).len());
        seen.extend(bodies(&page).into_iter().map(str::to_owned));
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }

    assert_eq!(sizes, [50, 50, 20]);
    assert_eq!((seen[0].as_str(), seen[119].as_str()), ("119", "0"));
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 120);
}

#[tokio::test]
async fn a_page_keeps_its_size_and_its_filter() {
    let account = Account::open().await;
    for to in ["whatsapp:+15005550101", "whatsapp:+15005550102", "whatsapp:+15005550101"] {
        account.create(&[("Body", to), ("To", to)]).await;
    }

    let page = list(&account, &[("To", "whatsapp:+15005550101"), ("PageSize", "1")]).await;

    let next = page["next_page_uri"].as_str().unwrap();
    assert!(next.contains("PageSize=1&Page=1") && next.contains("To=whatsapp%3A%2B15005550101"), "{next}");
    assert_eq!(page["previous_page_uri"], Value::Null);
}

#[tokio::test]
async fn a_message_is_neither_listed_nor_fetched_before_the_lag_is_over() {
    let account = Account::misbehaving(Faults { list_lag_ms: 3_600_000, ..Faults::default() }).await;
    let created = account.create(&[("Body", "hi")]).await;
    let path = format!("/Messages/{}.json", created["sid"].as_str().unwrap());

    assert!(bodies(&list(&account, &[]).await).is_empty());
    assert_eq!(account.get(&path).await.status(), 404);

    account.sandbox.set_faults(Faults::default());

    assert_eq!(bodies(&list(&account, &[]).await), ["hi"]);
    assert_eq!(account.get(&path).await.status(), 200);
}

async fn list(account: &Account, query: &[(&str, &str)]) -> Value {
    let response = account.api(Method::GET, "/Messages.json").query(query).send().await.unwrap();
    response.json().await.unwrap()
}
