//! An agent's gateway on this machine, which answers as it is told and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Runs until it is dropped.
pub(crate) struct Gateway {
    pub(crate) url: String,
    script: Arc<Script>,
    server: tokio::task::JoinHandle<()>,
}

struct Script {
    asked: Mutex<Vec<(String, Value)>>,
    /// Answers in order; the last one stays.
    answers: Mutex<VecDeque<(u16, Value)>>,
    chat_takes: Duration,
}

impl Gateway {
    /// Chats take this long; everything else is answered at once, in this order.
    pub(crate) async fn start(chat_takes: Duration, answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let answers = Mutex::new(answers.into_iter().collect());
        let script = Arc::new(Script { asked: Mutex::default(), answers, chat_takes });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script, server }
    }

    /// The bodies that came to this path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.script.asked.lock().unwrap();
        asked.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    uri: Uri,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    script.asked.lock().unwrap().push((uri.path().to_owned(), body.clone()));
    if uri.path() == "/v1/chat/completions" {
        tokio::time::sleep(script.chat_takes).await;
        let message = json!({ "role": "assistant", "content": "The agent's answer." });
        let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
        return (StatusCode::OK, Json(json!({ "object": "chat.completion", "choices": choices })));
    }
    let mut answers = script.answers.lock().unwrap();
    let (status, answer) =
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(answer))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}
