//! A gateway that answers as it is told, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::Agent;
use agent::client::GatewayClient;
use agent::error::AgentError;
use agent::memory::Memory;
use agent::target::Endpoint;
use agent::turn::{AgentAnswer, Channel, Reply, TurnPart, TurnRequest};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const TOKEN: &str = "gateway-token";

/// Runs until it is dropped.
pub(crate) struct Gateway {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Gateway {
    pub(crate) async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |_| answer()).await
    }

    /// Answers by the body that was sent.
    pub(crate) async fn for_asked(
        answer: impl Fn(&Value) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |asked| answer(&asked.body)).await
    }

    /// Answers by the path that was asked for.
    pub(crate) async fn for_path(answer: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |asked| answer(asked.line.rsplit(' ').next().unwrap_or_default())).await
    }

    async fn start(answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = asked.clone();
        let handler = async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let line = format!("{} {}", parts.method, parts.uri);
            let asked = Asked { line, headers: parts.headers, body };
            remembered.lock().unwrap().push(asked.clone());
            answer(&asked)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handler);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, server }
    }

    pub(crate) fn agent(&self) -> Agent {
        self.agent_with_patience(Duration::from_secs(30))
    }

    pub(crate) fn agent_with_patience(&self, idle_timeout: Duration) -> Agent {
        Agent::OpenClaw(GatewayClient::new(self.endpoint(), idle_timeout).unwrap())
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.url, &TOKEN.into()).unwrap()
    }

    /// Runs a turn with the default agent.
    pub(crate) async fn ask(&self, text: &str) -> Result<AgentAnswer, AgentError> {
        self.agent().send_to_openclaw(&turn(text)).await
    }

    /// How many requests came, without those about what its session has.
    pub(crate) fn times_asked(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        let about_session =
            |asked: &&Asked| asked.body["tool"].as_str().is_some_and(|tool| tool.starts_with("sessions_"));
        asked.len() - asked.iter().filter(about_session).count()
    }

    /// The last request.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.lock().unwrap().last().cloned().expect("the gateway was asked")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn turn(text: &str) -> TurnRequest {
    TurnRequest {
        conversation_id: "whatsapp-7".to_owned(),
        memory: Memory::Gateway,
        channel: Channel::Whatsapp,
        parts: vec![TurnPart::Text(text.to_owned())],
        asked_before: None,
        timeout: Duration::from_secs(20),
    }
}

pub(crate) fn text(answer: Result<AgentAnswer, AgentError>) -> String {
    match answer.map(|answer| answer.reply) {
        Ok(Reply::Text(text)) => text,
        other => panic!("not a text: {other:?}"),
    }
}

/// A whole completion.
pub(crate) fn completion(content: &str) -> Response {
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" });
    axum::Json(json!({ "id": "chatcmpl_1", "object": "chat.completion", "choices": [choice] }))
        .into_response()
}

/// An error in OpenAI's form.
pub(crate) fn refusal(status: u16, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "api_error" } });
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

/// A stream of these packets.
pub(crate) fn stream(
    packets: impl futures::Stream<Item = Result<String, std::io::Error>> + Send + 'static,
) -> Response {
    let packets = futures::StreamExt::map(packets, |packet| packet.map(Bytes::from));
    ([("content-type", "text/event-stream; charset=utf-8")], Body::from_stream(packets)).into_response()
}

/// A stream of these packets that ends properly.
pub(crate) fn packets(packets: &[&str]) -> Response {
    let packets: Vec<_> = packets.iter().map(|packet| Ok((*packet).to_owned())).collect();
    stream(futures::stream::iter(packets))
}

/// An event with a piece of text.
pub(crate) fn piece(content: &str) -> String {
    format!(
        "data: {}\n\n",
        json!({ "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": null }] })
    )
}

pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";
