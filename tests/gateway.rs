//! An agent's gateway on this machine, which answers as it is told and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

#[expect(dead_code, reason = "the agent's own tests use the rest of it")]
#[path = "../src/agent/tests/session.rs"]
mod session;

use session::{RunEnd, Session};

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
    /// Each of them takes a permit.
    held: Option<Arc<Semaphore>>,
    /// What it says of its models.
    models: Mutex<(u16, Value)>,
    chats: Mutex<Vec<Chat>>,
    /// What it keeps of conversations, by their names; `None`: nothing.
    sessions: Mutex<Option<HashMap<String, Session>>>,
    times: Mutex<HashMap<String, usize>>,
    chat: Answering,
}

/// What to do about a chat that was asked for so often before.
type Answering = Box<dyn Fn(&Chat, usize) -> Run + Send + Sync>;

/// A chat completion that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Chat {
    /// The session.
    pub(crate) user: String,
    /// All messages, each as its role and its words.
    pub(crate) messages: Vec<(String, String)>,
    /// All words of the last message.
    pub(crate) text: String,
    /// All that the model is told of the person's words, by a gateway that keeps conversations.
    pub(crate) told: Vec<String>,
    /// Pictures of the last message, as data URIs.
    pub(crate) pictures: Vec<String>,
    pub(crate) channel: Option<String>,
    pub(crate) session_key: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) model: String,
    pub(crate) began: Instant,
    pub(crate) ended: Option<Instant>,
}

/// What a gateway does with a run.
#[derive(Clone, Debug)]
pub(crate) enum Run {
    /// Says this in a stream, after a while.
    Say(&'static str, Duration),
    /// Says this in a stream, once it gets a permit.
    SayWhenTold(&'static str, Arc<Semaphore>),
    /// An empty run, as OpenClaw answers it.
    NoResponse,
    /// A failed run: after some words, the in-band error.
    InternalError,
    /// A run whose model answers with `NO_REPLY` alone, as OpenClaw 2026.9 answers it.
    Silence,
    /// An acting run whose stream cannot take back what it has said.
    Uncorrectable,
    /// 429, to be asked again after so many seconds.
    Busy(u64),
    /// 429 to whoever is at this address, to be asked again after so many seconds.
    LockedOut(u64),
    /// 503, to be asked again after so many seconds, as from a gateway that starts.
    NotReady(u64),
    /// A status with an error document.
    Refuse(u16),
    /// The same with a message of its own.
    RefuseSaying(u16, &'static str),
    /// A status with an error document that quotes the message, and a phone number.
    Quote(u16),
    /// Never answers.
    Hang,
    /// Ends its stream in the middle of an event.
    Half,
    /// Breaks the connection.
    Disconnect,
}

impl Gateway {
    /// Chats take this long; everything else is answered at once, in this order.
    pub(crate) async fn start(chat_takes: Duration, answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self::with(answers, None, move |_, _| Run::Say("The agent's answer.", chat_takes)).await
    }

    /// Everything but chats is answered in this order, each once there is a permit.
    pub(crate) async fn held(told: Arc<Semaphore>, answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self::with(answers, Some(told), |_, _| Run::Hang).await
    }

    /// Chats go as they are told: by what was asked, and how often the same was asked before.
    pub(crate) async fn chatting(chat: impl Fn(&Chat, usize) -> Run + Send + Sync + 'static) -> Self {
        Self::with([(404, json!({}))], None, chat).await
    }

    /// The same at a gateway that keeps conversations.
    pub(crate) async fn remembering(chat: impl Fn(&Chat, usize) -> Run + Send + Sync + 'static) -> Self {
        let gateway = Self::chatting(chat).await;
        *gateway.script.sessions.lock().unwrap() = Some(HashMap::new());
        gateway
    }

    /// Chats at an address at which nobody was before.
    pub(crate) async fn chatting_at(
        address: SocketAddr,
        chat: impl Fn(&Chat, usize) -> Run + Send + Sync + 'static,
    ) -> Self {
        Self::at(address, [(404, json!({}))], None, chat).await
    }

    /// Both.
    pub(crate) async fn with(
        answers: impl IntoIterator<Item = (u16, Value)>,
        held: Option<Arc<Semaphore>>,
        chat: impl Fn(&Chat, usize) -> Run + Send + Sync + 'static,
    ) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answers, held, chat).await
    }

    async fn at(
        address: SocketAddr,
        answers: impl IntoIterator<Item = (u16, Value)>,
        held: Option<Arc<Semaphore>>,
        chat: impl Fn(&Chat, usize) -> Run + Send + Sync + 'static,
    ) -> Self {
        let script = Arc::new(Script {
            asked: Mutex::default(),
            answers: Mutex::new(answers.into_iter().collect()),
            held,
            models: Mutex::new((200, listed(&["openclaw", "openclaw/default"]))),
            chats: Mutex::default(),
            sessions: Mutex::default(),
            times: Mutex::default(),
            chat: Box::new(chat),
        });
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router =
            Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(script.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script, server }
    }

    /// From now on it says this of its models.
    pub(crate) fn says_of_its_models(&self, status: u16, body: Value) {
        *self.script.models.lock().unwrap() = (status, body);
    }

    /// From now on it has these models, which make it a server other than OpenClaw.
    pub(crate) fn lists(&self, models: &[&str]) {
        self.says_of_its_models(200, listed(models));
    }

    /// The bodies that came to this path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.script.asked.lock().unwrap();
        asked.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }

    /// The chats, in the order in which they began.
    pub(crate) fn chats(&self) -> Vec<Chat> {
        self.script.chats.lock().unwrap().clone()
    }
}

impl Script {
    /// Does something with the session of a chat, if sessions are kept.
    fn in_session<T>(&self, chat: &Value, deed: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut sessions = self.sessions.lock().unwrap();
        let session = sessions.as_mut()?.entry(chat["user"].as_str()?.to_owned()).or_default();
        Some(deed(session))
    }
}

impl Run {
    /// What a session keeps of it.
    fn end(&self) -> RunEnd {
        match self {
            Self::Say(text, _) => RunEnd::Says(text),
            Self::Silence => RunEnd::Silence,
            Self::InternalError => RunEnd::Failure,
            _ => RunEnd::CutOff,
        }
    }
}

fn listed(models: &[&str]) -> Value {
    let models: Vec<Value> = models.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
    json!({ "object": "list", "data": models })
}

/// The words of a message.
fn words(content: &Value) -> &str {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    content.as_str().or_else(|| parts.iter().find_map(|part| part["text"].as_str())).unwrap_or_default()
}

async fn answer(State(script): State<Arc<Script>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    // Who only looks sends nothing.
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    script.asked.lock().unwrap().push((uri.path().to_owned(), body.clone()));
    if uri.path() == "/v1/chat/completions" {
        return complete(&script, &headers, &body).await;
    }
    if let Some(session) = body["sessionKey"].as_str()
        && let Some(sessions) = &mut *script.sessions.lock().unwrap()
    {
        return Json(sessions.entry(session.to_owned()).or_default().tool(&body)).into_response();
    }
    if let Some(told) = &script.held {
        told.acquire().await.unwrap().forget();
    }
    let (status, answer) = if uri.path() == "/v1/models" {
        script.models.lock().unwrap().clone()
    } else {
        let mut answers = script.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap()
    };
    (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
}

async fn complete(script: &Arc<Script>, headers: &HeaderMap, body: &Value) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let messages = body["messages"].as_array().unwrap();
    let Some(last) = messages.last() else {
        return (StatusCode::BAD_REQUEST, "Missing user message").into_response();
    };
    let content = &last["content"];
    let parts = content.as_array().cloned().unwrap_or_default();
    let picture = |part: &Value| part["image_url"]["url"].as_str().map(str::to_owned);
    let text = words(content);
    let message =
        |said: &Value| (said["role"].as_str().unwrap().to_owned(), words(&said["content"]).to_owned());
    let chat = Chat {
        user: body["user"].as_str().unwrap().to_owned(),
        messages: messages.iter().map(message).collect(),
        text: text.to_owned(),
        told: script.in_session(body, |session| session.begin(text)).unwrap_or_default(),
        pictures: parts.iter().filter_map(picture).collect(),
        channel: header("x-openclaw-message-channel"),
        session_key: header("x-openclaw-session-key"),
        authorization: header("authorization"),
        model: body["model"].as_str().unwrap().to_owned(),
        began: Instant::now(),
        ended: None,
    };
    let before = {
        let mut times = script.times.lock().unwrap();
        let times = times.entry(format!("{} {}", chat.user, chat.text)).or_default();
        *times += 1;
        *times - 1
    };
    let run = (script.chat)(&chat, before);
    script.in_session(body, |session| session.end(run.end()));
    let number = {
        let mut chats = script.chats.lock().unwrap();
        chats.push(chat);
        chats.len() - 1
    };
    let piece = |text: &str| {
        format!(
            "data: {}\n\n",
            json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] })
        )
    };
    let stop =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let quote = format!("cannot read \"{text}\" of whatsapp:+15005550100");
    let error = |status: u16, message: &str| {
        let body = json!({ "error": { "message": message, "type": "api_error" } });
        (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
    };
    let said = |text: &'static str| {
        script.chats.lock().unwrap()[number].ended = Some(Instant::now());
        let (first, rest) = text.split_at(text.len() / 2);
        streamed([Ok(piece(first)), Ok(piece(rest) + stop)])
    };
    match run {
        Run::Say(text, takes) => {
            tokio::time::sleep(takes).await;
            said(text)
        }
        Run::SayWhenTold(text, told) => {
            told.acquire().await.unwrap().forget();
            said(text)
        }
        Run::NoResponse => {
            let message = json!({ "role": "assistant", "content": "No response from OpenClaw." });
            let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
            Json(json!({ "object": "chat.completion", "choices": choices })).into_response()
        }
        Run::InternalError => {
            streamed([Ok(piece("Let me see. ")), Ok(piece("Error: internal error") + stop)])
        }
        Run::Silence => {
            let error = json!({ "error": { "message": "internal error", "type": "api_error" } });
            streamed([Ok(format!("data: {error}\n\n")), Ok("data: [DONE]\n\n".to_owned())])
        }
        Run::Uncorrectable => {
            let error =
                json!({ "error": { "message": "assistant text is append-only", "type": "api_error" } });
            streamed([Ok(piece("I will.")), Ok(format!("data: {error}\n\n"))])
        }
        Run::Busy(secs) => {
            ([("retry-after", secs.to_string())], error(429, "internal error")).into_response()
        }
        Run::LockedOut(secs) => {
            let locked = "Too many failed authentication attempts. Retry later.";
            ([("retry-after", secs.to_string())], error(429, locked)).into_response()
        }
        Run::NotReady(secs) => {
            ([("retry-after", secs.to_string())], error(503, "gateway is starting")).into_response()
        }
        Run::Refuse(status) => error(status, "internal error"),
        Run::RefuseSaying(status, message) => error(status, message),
        Run::Quote(status) => error(status, &quote),
        Run::Hang => std::future::pending().await,
        Run::Half => streamed([Ok(piece("I think that") + "data: {\"choices\":")]),
        Run::Disconnect => {
            streamed([Ok(piece("I think")), Err(std::io::Error::other("the connection breaks"))])
        }
    }
}

fn streamed<const N: usize>(packets: [Result<String, std::io::Error>; N]) -> Response {
    let packets = stream::iter(packets).map(|packet| packet.map(Bytes::from));
    ([("content-type", "text/event-stream")], Body::from_stream(packets)).into_response()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}
