//! A service of the operator's or the product's on this machine, which takes posts, remembers them, and fails when it is told to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

/// What its posts are signed with.
pub(crate) const SECRET: &str = "whsec_b2YgdGhlIHRlc3RzLCBsb25nIGVub3VnaCBmb3IgYW55";

/// Runs until it is dropped.
pub(crate) struct Listener {
    pub(crate) url: String,
    heard: Arc<Heard>,
    server: tokio::task::JoinHandle<()>,
}

struct Heard {
    posts: Mutex<Vec<Post>>,
    /// What it answers.
    status: Mutex<StatusCode>,
}

/// What was posted.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) body: Value,
    /// Whether it was answered well.
    pub(crate) taken: bool,
}

impl Listener {
    pub(crate) async fn start() -> Self {
        let heard = Arc::new(Heard { posts: Mutex::default(), status: Mutex::new(StatusCode::NO_CONTENT) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/told", listener.local_addr().unwrap());
        let router = Router::new().route("/told", post(take)).with_state(heard.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, heard, server }
    }

    /// From here on it answers with this status.
    pub(crate) fn answer(&self, status: u16) {
        *self.heard.status.lock().unwrap() = StatusCode::from_u16(status).unwrap();
    }

    /// Everything that was posted, in order.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.heard.posts.lock().unwrap().clone()
    }

    /// The posts that it has taken, each id once.
    pub(crate) fn taken(&self) -> Vec<Value> {
        let mut ids = std::collections::HashSet::new();
        let taken = self.posts().into_iter().filter(|post| post.taken && ids.insert(post.id.clone()));
        taken.map(|post| post.body).collect()
    }

    /// The posts of an alert's cause that it has taken.
    pub(crate) fn of_cause(&self, cause: &str) -> Vec<Value> {
        self.taken().into_iter().filter(|post| post["cause"] == cause).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A post that is not signed as Standard Webhooks has it is taken by nobody.
async fn take(State(heard): State<Arc<Heard>>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    if header("webhook-signature") != signature {
        return StatusCode::UNAUTHORIZED;
    }
    let status = *heard.status.lock().unwrap();
    let body = serde_json::from_str(&body).unwrap();
    heard.posts.lock().unwrap().push(Post { id: id.to_owned(), body, taken: status.is_success() });
    status
}
