//! A service that receives webhooks, and checks their signatures with code of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::sync::mpsc;

use crate::account::{AUTH_TOKEN, PATIENCE};

/// Status, content type and body.
type Answer = (u16, &'static str, &'static str);

const EMPTY: Answer = (200, "text/xml", "<Response/>");

pub(crate) struct Receiver {
    pub(crate) url: String,
    events: mpsc::UnboundedReceiver<Event>,
}

/// A webhook as it came.
pub(crate) struct Event {
    pub(crate) headers: HeaderMap,
    uri: String,
    params: Vec<(String, String)>,
}

struct Answering {
    answers: Mutex<VecDeque<Answer>>,
    events: mpsc::UnboundedSender<Event>,
}

impl Receiver {
    /// Gives these answers, one a request, and from then on an empty one.
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let answering = Answering { answers: Mutex::new(answers.to_vec().into()), events: sender };
        let router = Router::new().fallback(answer).with_state(Arc::new(answering));
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/hook?chunk=7&attempt=1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, events }
    }

    /// The next webhook.
    pub(crate) async fn event(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("no webhook came").unwrap()
    }

    /// The statuses that the next so many webhooks report, in their order.
    pub(crate) async fn statuses(&mut self, count: usize) -> Vec<String> {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(self.event().await.param("MessageStatus").to_owned());
        }
        statuses
    }

    /// Whether everything that came was looked at.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.events.try_recv().is_err()
    }

    /// What `X-Twilio-Signature` must be: base64 of the HMAC-SHA1 over the URL and each parameter's name and value, sorted by name.
    pub(crate) fn signature(&self, event: &Event) -> String {
        let origin = self.url.split("/hook").next().unwrap();
        let mut params = event.params.clone();
        params.sort();
        let signed: String = params.into_iter().flat_map(|(name, value)| [name, value]).collect();
        STANDARD.encode(hmac_sha1(AUTH_TOKEN.as_bytes(), format!("{origin}{}{signed}", event.uri).as_bytes()))
    }
}

impl Event {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("the webhook has no {name}"))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

async fn answer(
    State(answering): State<Arc<Answering>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], &'static str) {
    let params = url::form_urlencoded::parse(&body).into_owned().collect();
    let _ = answering.events.send(Event { headers, uri: uri.to_string(), params });
    let (status, content_type, body) = answering.answers.lock().unwrap().pop_front().unwrap_or(EMPTY);
    (StatusCode::from_u16(status).unwrap(), [("content-type", content_type)], body)
}

/// HMAC as RFC 2104 has it, for a key of at most one block of 64 bytes.
fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(padded, key)| *padded ^= key);
        block
    };
    let inner = Sha1::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha1::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
