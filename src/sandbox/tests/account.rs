//! A sandbox on a free port, and a client that has its account.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use sandbox::Sandbox;
use sandbox::faults::Faults;
use sandbox::message::SandboxMessage;
use sandbox::settings::{SandboxOptions, SandboxSettings};
use serde_json::Value;

pub(crate) const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
pub(crate) const AUTH_TOKEN: &str = "the-token";
pub(crate) const API_KEY: &str = "SK00000000000000000000000000000001";
pub(crate) const API_SECRET: &str = "the-secret-of-the-key";
pub(crate) const BUSINESS: &str = "whatsapp:+14155238886";
pub(crate) const PERSON: &str = "whatsapp:+15005550100";

/// What every wait in these tests ends at, if what it waits for never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Account {
    pub(crate) sandbox: Sandbox,
    pub(crate) http: Client,
}

pub(crate) fn settings() -> SandboxSettings {
    SandboxSettings {
        options: SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            status_delay: Duration::from_millis(5),
        },
        account_sid: ACCOUNT_SID.to_owned(),
        auth_token: AUTH_TOKEN.into(),
        api_key: Some((API_KEY.to_owned(), API_SECRET.into())),
        whatsapp_number: BUSINESS.to_owned(),
        webhook_url: "http://127.0.0.1:1/nobody".to_owned(),
        journal: None,
        seed: 1,
    }
}

impl Account {
    pub(crate) async fn open() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn misbehaving(faults: Faults) -> Self {
        let account = Self::open().await;
        account.sandbox.set_faults(faults);
        account
    }

    pub(crate) async fn with(settings: SandboxSettings) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self { sandbox: Sandbox::start(settings).await.unwrap(), http }
    }

    /// A request without credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.sandbox.base_url()))
    }

    /// A request under the account, for example of `/Messages.json`.
    pub(crate) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/2010-04-01/Accounts/{ACCOUNT_SID}{path}"))
            .basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.api(Method::GET, path).send().await.unwrap()
    }

    /// A create that may go wrong: these fields, and the two addresses where they are not among them.
    pub(crate) fn creating(&self, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut form = fields.to_vec();
        for (name, usual) in [("To", PERSON), ("From", BUSINESS)] {
            if !fields.iter().any(|(given, _)| *given == name) {
                form.push((name, usual));
            }
        }
        self.api(Method::POST, "/Messages.json").form(&form)
    }

    /// A create that goes well.
    pub(crate) async fn create(&self, fields: &[(&str, &str)]) -> Value {
        let response = self.creating(fields).send().await.unwrap();
        assert_eq!(response.status(), 201);
        response.json().await.unwrap()
    }

    /// A message's webhook is sent as for a person who wrote it; what the sandbox says of that.
    pub(crate) async fn inject(&self, fields: &[(&str, &str)]) -> Value {
        let response = self.request(Method::POST, "/sandbox/inbound").form(fields).send().await.unwrap();
        response.json().await.unwrap()
    }

    pub(crate) async fn wait_for_status(&self, status: &str) {
        let has_it = |messages: &[SandboxMessage]| messages.iter().any(|message| message.status == status);
        assert!(self.sandbox.wait_until(PATIENCE, has_it).await, "no message became {status}");
    }
}

/// The bodies of a list's messages, in its order.
pub(crate) fn bodies(list: &Value) -> Vec<&str> {
    list["messages"].as_array().unwrap().iter().map(|message| message["body"].as_str().unwrap()).collect()
}

/// An error's status and Twilio's code.
pub(crate) async fn error(response: Response) -> (u16, i64) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    (status, body["code"].as_i64().unwrap())
}
