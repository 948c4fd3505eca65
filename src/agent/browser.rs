//! The end of an agent's browser session: `POST /tools/invoke`, which a gateway has always on.

use std::time::Duration;

use outside::words;
use reqwest::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer_body::read_body;
use crate::error::AgentError;
use crate::refusal::{self, OF_A_TURN, Remedies};
use crate::target::Endpoint;

/// How long a gateway may take for it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

const BODY_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// What became of a browser session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserStop {
    /// It was running and has ended.
    Ended,
    /// There was none.
    NotRunning,
}

#[derive(Deserialize)]
struct Invocation {
    ok: bool,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Value,
}

/// Asks whether the browser of a session runs.
pub(crate) fn status_body(session_key: &str) -> Value {
    json!({ "tool": "browser", "action": "status", "args": {}, "sessionKey": session_key })
}

pub(crate) fn stop_body(session_key: &str, idempotency_key: &str) -> Value {
    json!({
        "tool": "browser",
        "action": "stop",
        "args": {},
        "sessionKey": session_key,
        "idempotencyKey": idempotency_key,
    })
}

/// What the browser's status means: whether there is anything to stop. A gateway that does not say is asked to stop.
pub(crate) async fn is_running(response: Response, endpoint: &Endpoint) -> Result<bool, AgentError> {
    let answer = read(response, endpoint).await?;
    Ok(answer.is_some_and(|status| said(&status, "running") != Some(false)))
}

/// What the answer to a stop means; some gateways answer with the status that the browser has after it.
pub(crate) async fn is_stopped(response: Response, endpoint: &Endpoint) -> Result<BrowserStop, AgentError> {
    let Some(result) = read(response, endpoint).await? else { return Ok(BrowserStop::NotRunning) };
    match (said(&result, "stopped"), said(&result, "running")) {
        (Some(false), _) => Ok(BrowserStop::NotRunning),
        (None, Some(true)) => {
            Err(AgentError::Transient(format!("{endpoint} says that its browser still runs after a stop")))
        }
        _ => Ok(BrowserStop::Ended),
    }
}

/// What the tool says. `None`: that no browser runs, which is what a stop is for.
async fn read(response: Response, endpoint: &Endpoint) -> Result<Option<Value>, AgentError> {
    let status = response.status();
    if !status.is_success() && status.as_u16() != 400 {
        let address = "the gateway offers no browser here: allow the tool \"browser\" in its tool policy, and check the agent's base URL";
        return Err(refusal::of(response, endpoint, &Remedies { address, ..OF_A_TURN }).await);
    }
    let body = read_body(response, endpoint, BODY_LIMIT_BYTES).await?;
    let invocation: Invocation = serde_json::from_slice(&body).map_err(|error| {
        let error = words::without_literals(&error.to_string());
        AgentError::Transient(format!("{endpoint} did not answer a tool call as it should: {error}"))
    })?;
    if invocation.ok {
        return Ok(Some(invocation.result));
    }
    let message =
        invocation.error["message"].as_str().or(invocation.error.as_str()).unwrap_or("no reason given");
    if message.to_ascii_lowercase().contains("not running") {
        return Ok(None);
    }
    let reason = format!("{endpoint} could not stop the browser: {}", refusal::tidy(message, endpoint));
    Err(if status.is_success() { AgentError::Transient(reason) } else { AgentError::Permanent(reason) })
}

/// Builds differ in where the tool says something: in the result itself, in its `details`, or in a text that is JSON again.
fn said(result: &Value, name: &str) -> Option<bool> {
    let direct = result[name].as_bool().or_else(|| result["details"][name].as_bool());
    direct.or_else(|| {
        let text = result["content"][0]["text"].as_str()?;
        serde_json::from_str::<Value>(text).ok()?[name].as_bool()
    })
}
