//! What strangers say and send: nothing of it is HTML, and nothing comes from a page of another site.

use reqwest::Method;
use sandbox::faults::{Faults, TemplateButton};
use serde_json::json;

use crate::account::Account;
use crate::phone::{get, page, send};
use crate::receiver::Receiver;
use crate::stream::Stream;

const EVIL: [&str; 2] = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>"];

fn assert_nothing_runs(page: &str) {
    for bad in ["<script>", "<img src=x", "onerror=alert(1)>"] {
        let at = page.find(bad).map(|at| &page[at.saturating_sub(80)..(at + 80).min(page.len())]);
        assert_eq!(at, None, "{bad}");
    }
}

#[tokio::test]
async fn nothing_that_anybody_says_is_html() {
    let account = Account::open().await;
    let receiver =
        Receiver::start(&[(200, "text/plain", "<script>alert(1)</script>\"><img src=x onerror=alert(1)>")])
            .await;
    account.sandbox.set_webhook_url(&receiver.url);
    let template = "HX00000000000000000000000000000001";
    let buttons = EVIL.map(|evil| TemplateButton { title: evil.to_owned(), id: evil.to_owned() });
    account.sandbox.set_faults(Faults {
        template_texts: [(template.to_owned(), EVIL.concat())].into(),
        template_buttons: [(template.to_owned(), buttons.to_vec())].into(),
        ..Faults::default()
    });

    for evil in EVIL {
        let place = [("Latitude", "1"), ("Longitude", "2"), ("Label", evil), ("Address", evil)];
        let texts =
            [("Body", evil), ("ProfileName", evil), ("ButtonText", evil), ("MessageSid", evil), (evil, evil)];
        account.inject(&[&place[..], &texts[..]].concat()).await;
        account.inject(&[("MediaUrl0", evil), ("ProfileName", evil)]).await;
        account.create(&[("Body", evil), ("PersistentAction", &format!("geo:1,2|{evil}"))]).await;
        account.create(&[("Body", &format!("*{evil}* ```{evil}``` https://a.example/{evil}"))]).await;
        account.create(&[("MediaUrl", &format!("https://files.example/{evil}.png"))]).await;
        account.creating(&[("To", evil), ("Body", evil), (evil, evil)]).send().await.unwrap();
        account.get(&format!("/Messages/{}.json", evil.replace(['/', '"', '<', '>', ' '], "_"))).await;
        for kind in ["image/png", "application/pdf"] {
            send(&account, &[("Body", evil)], Some((kind, evil, "x"))).await;
        }
    }
    account.create(&[("ContentSid", template), ("ContentVariables", "{}")]).await;

    let shown = page(&account).await;
    assert_nothing_runs(&shown);
    assert!(shown.matches("&#60;script&#62;").count() > 20);
    let query: String = url::form_urlencoded::byte_serialize(EVIL.concat().as_bytes()).collect();
    for name in ["phones", "add", "show", "remove"] {
        assert_nothing_runs(&get(&account, &format!("/sandbox?{name}={query}")).await.text().await.unwrap());
    }
    let (_, all) = Stream::open(&account, "", None).await.next().await;
    let parts = ["messages", "requests"].map(|part| all[part].as_array().unwrap());
    assert!(parts.iter().all(|part| part.len() > 10));
    for html in parts.into_iter().flatten().map(|item| item["html"].as_str().unwrap()) {
        assert!(!html.is_empty());
        assert_nothing_runs(html);
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_and_programs_are_not() {
    let account = Account::open().await;
    let receiver = Receiver::start(&[]).await;
    account.sandbox.set_webhook_url(&receiver.url);
    let base_url = account.sandbox.base_url();
    let own = [("origin", base_url.as_str()), ("sec-fetch-site", "same-origin")];
    let cases: [(&[(&str, &str)], u16); 8] = [
        (&[], 200),
        (&own, 200),
        (&own[..1], 200),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], 403),
        // Another program's page on this machine.
        (&[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")], 403),
        (&[("origin", "http://127.0.0.1:1")], 403),
        (&[("origin", "null")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
    ];

    for (headers, expected) in cases {
        for (method, path) in [
            (Method::POST, "/sandbox/inbound"),
            (Method::DELETE, "/sandbox/faults"),
            (Method::PUT, "/sandbox/media"),
            (Method::POST, "/sandbox/phone/faults"),
            (Method::POST, "/sandbox/phone/read"),
            (Method::POST, "/sandbox/phone/message"),
            (Method::DELETE, "/sandbox/messages"),
        ] {
            let request =
                account.request(method, path).header("content-type", "application/x-www-form-urlencoded");
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let status = request.send().await.unwrap().status().as_u16();
            assert_eq!(status == 403, expected == 403, "{path} {headers:?}: {status}");
        }
    }
    let page =
        account.request(Method::GET, "/sandbox").header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!((page.status().as_u16(), json!(account.sandbox.messages().len())), (200, json!(0)));
}
