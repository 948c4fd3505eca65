//! A Twilio that answers as a test says, and the client that asks it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use twilio::account::Account;
use twilio::client::TwilioClient;

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

type Answers = Arc<dyn Fn(&str) -> Response + Send + Sync>;

/// A Twilio that answers as it is told and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `answers` is given the path and query of each request.
    pub(crate) async fn start(answers: impl Fn(&str) -> Response + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state: (Arc<Mutex<Vec<Seen>>>, Answers) = (seen.clone(), Arc::new(answers));
        let router = Router::new().fallback(answer).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen }
    }

    pub(crate) async fn answering(status: u16, body: &'static str) -> Self {
        Self::start(move |_| (StatusCode::from_u16(status).unwrap(), body).into_response()).await
    }

    pub(crate) fn client(&self) -> TwilioClient {
        client(&format!("http://{}", self.address))
    }

    pub(crate) fn only_request(&self) -> Seen {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen[0].clone()
    }

    pub(crate) fn uris(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.uri.clone()).collect()
    }
}

async fn answer(
    State((seen, answers)): State<(Arc<Mutex<Vec<Seen>>>, Answers)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let uri = uri.to_string();
    let body = String::from_utf8(body.to_vec()).unwrap();
    seen.lock().unwrap().push(Seen { uri: uri.clone(), headers, body });
    answers(&uri)
}

pub(crate) fn client(api_base_url: &str) -> TwilioClient {
    TwilioClient::new(account(api_base_url)).unwrap()
}

pub(crate) fn account(api_base_url: &str) -> Account {
    Account {
        account_sid: "AC1".to_owned(),
        auth_token: "secret".into(),
        api_key: None,
        api_base_url: api_base_url.parse().unwrap(),
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(5),
    }
}
