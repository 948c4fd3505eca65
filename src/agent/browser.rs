//! The end of an agent's browser session: `POST /tools/invoke`, which a gateway has always on.

use std::time::Duration;

use outside::words;
use reqwest::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::completion::read_body;
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

pub(crate) fn body(session_key: &str, idempotency_key: &str) -> Value {
    json!({
        "tool": "browser",
        "action": "stop",
        "args": {},
        "sessionKey": session_key,
        "idempotencyKey": idempotency_key,
    })
}

/// What the gateway's answer means. A tool that fails because nothing runs has done what was asked for.
pub(crate) async fn read(response: Response, endpoint: &Endpoint) -> Result<BrowserStop, AgentError> {
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
        return Ok(if was_stopped(&invocation.result) == Some(false) {
            BrowserStop::NotRunning
        } else {
            BrowserStop::Ended
        });
    }
    let message =
        invocation.error["message"].as_str().or(invocation.error.as_str()).unwrap_or("no reason given");
    if message.to_ascii_lowercase().contains("not running") {
        return Ok(BrowserStop::NotRunning);
    }
    let reason = format!("{endpoint} could not stop the browser: {}", refusal::tidy(message, endpoint));
    Err(if status.is_success() { AgentError::Transient(reason) } else { AgentError::Permanent(reason) })
}

/// The tool says `stopped: false` if nothing ran. Builds differ in where: in the result itself, in its `details`, or in a text that is
/// JSON again.
fn was_stopped(result: &Value) -> Option<bool> {
    let direct = result["stopped"].as_bool().or_else(|| result["details"]["stopped"].as_bool());
    direct.or_else(|| {
        let text = result["content"][0]["text"].as_str()?;
        serde_json::from_str::<Value>(text).ok()?["stopped"].as_bool()
    })
}
