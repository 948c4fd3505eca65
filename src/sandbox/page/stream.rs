//! `GET /sandbox/events`: what changes on the page, as server-sent events. Each event leads from one version of everything to the next and
//! has its id, so a reader that comes back with the last id misses nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template as _;
use axum::extract::{self, Query};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::phones::Opened;
use super::requests::RequestRow;
use super::switches::GROUPS;
use super::view::{BubbleView, RequestView, Thread, html_id, position};
use crate::changes::Changes;
use crate::clock;
use crate::state::SandboxState;

/// How soon a reader comes back that was cut off.
const RETRY: Duration = Duration::from_secs(1);

struct Reader {
    sandbox: Arc<SandboxState>,
    touches: watch::Receiver<u64>,
    opened: Opened,
    /// The version that the reader has.
    version: u64,
}

pub(super) async fn events(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let opened = Opened::read(&pairs).unwrap_or_else(|refused| refused.opened);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or_else(|| {
        let after = pairs.iter().find(|(name, _)| name == "after");
        after.map(|(_, after)| after.as_str())
    });
    // A reader of an earlier process gets everything anew.
    let version = last
        .and_then(|last| last.split_once('-'))
        .filter(|(epoch, _)| epoch.parse() == Ok(sandbox.epoch))
        .and_then(|(_, version)| version.parse().ok())
        .unwrap_or(0);
    let mut touches = sandbox.touches();
    touches.mark_changed();
    let reader = Reader { sandbox, touches, opened, version };
    let events = stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Reader {
    /// The next change; `None`: the sandbox ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.touches.changed().await.ok()?;
            let changes = self.sandbox.changes_since(self.version);
            if changes.version == self.version {
                continue;
            }
            self.version = changes.version;
            let event =
                Event::default().event("changes").retry(RETRY).id(position(&self.sandbox, self.version));
            return event.json_data(self.told(&changes)).ok();
        }
    }

    fn told(&self, changes: &Changes) -> Value {
        let faults = self.sandbox.faults();
        let list = self.opened.list();
        // Names and typing are told by all messages of a phone, also by those that have not changed.
        let all = self.sandbox.changes_since(0);
        let mut messages = Vec::new();
        let mut phones = Vec::new();
        for number in &self.opened.numbers {
            let changed = Thread::of(changes, number);
            for bubble in changed.bubbles(&self.sandbox, &faults) {
                let html = BubbleView { bubble: &bubble, list: &list }.render().unwrap_or_default();
                messages.push(json!({
                    "phone": html_id(number), "sid": bubble.sid, "order": bubble.order, "mine": bubble.is_mine,
                    "html": html,
                }));
            }
            if changes.is_reset || !changed.is_empty() {
                let head = Thread::of(&all, number).head(number, clock::now());
                phones.push(json!({
                    "phone": html_id(number), "name": head.name, "initial": head.initial,
                    "typing": head.typing_ms,
                }));
            }
        }
        let requests: Vec<Value> = changes
            .exchanges
            .iter()
            .map(|exchange| {
                let request = RequestRow::of(exchange);
                let html = RequestView { request }.render().unwrap_or_default();
                json!({"order": exchange.id, "html": html})
            })
            .collect();
        let controls = changes.controls.as_ref().map(|(faults, readers)| {
            let views = GROUPS.iter().flat_map(|group| group.switches).map(|switch| switch.view(faults));
            let switches: serde_json::Map<String, Value> = views
                .map(|view| (view.name.to_owned(), json!({"on": view.is_on, "chance": view.chance})))
                .collect();
            let reading: serde_json::Map<String, Value> = self
                .opened
                .numbers
                .iter()
                .map(|number| (html_id(number), readers.contains(&format!("whatsapp:{number}")).into()))
                .collect();
            json!({"switches": switches, "reading": reading})
        });
        json!({
            "reset": changes.is_reset, "messages": messages, "phones": phones, "requests": requests,
            "controls": controls,
        })
    }
}
