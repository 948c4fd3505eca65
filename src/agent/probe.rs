//! Whether an agent would take a turn, without a turn: it is asked whether it is ready, which models it has, and for a completion of nothing,
//! which costs nobody anything and is refused by all who are there. What it is, its models tell.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use crate::answer_body::read_body;
use crate::client::GatewayClient;
use crate::error::{AgentError, AgentErrorClass, Trouble};
use crate::memory::MemoryKeeper;
use crate::refusal::{self, OF_A_TURN};

const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct ModelList {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// Goes through all that can be wrong, the outermost first.
pub(crate) async fn check(client: &GatewayClient) -> Result<(), AgentError> {
    let endpoint = client.endpoint();
    let ready = client.get(endpoint.ready()).await?;
    if ready.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Err(AgentError::Unavailable {
            trouble: Trouble::Unreachable,
            retry_after: None,
            reason: format!("{endpoint} says that it is not ready"),
        });
    }
    let models = models(client).await?;
    let asked = client.target();
    let named = asked.model.as_deref().filter(|_| asked.agent_id.is_none());
    if let (Some(models), Some(name)) = (models.filter(|models| !models.is_empty()), named)
        && !models.iter().any(|model| model == name || model.split(':').next() == Some(name))
    {
        let some: Vec<&str> = models.iter().map(String::as_str).take(5).collect();
        let reason =
            format!("{endpoint} has no model {name:?}, but {}; {}", some.join(", "), OF_A_TURN.model);
        return Err(AgentError::Refused { trouble: Trouble::Name, reason });
    }
    let nothing = json!({ "model": crate::chat::model(asked), "messages": [] });
    let answer = client.post(endpoint.chat(), HeaderMap::new(), &nothing).await?;
    if answer.status().is_success() {
        return Ok(());
    }
    match refusal::of(answer, endpoint, &OF_A_TURN).await {
        // It objects to the nothing, or stumbles over it.
        error if matches!(error.class(), AgentErrorClass::Permanent | AgentErrorClass::Transient) => Ok(()),
        error => Err(error),
    }
}

/// Who keeps the history of conversations. An OpenClaw gateway names its agents (`openclaw/default` and others) where other servers name their
/// models. A model that somebody has called `openclaw` makes no gateway. `None`: the server names nothing.
pub(crate) async fn memory_keeper(client: &GatewayClient) -> Result<Option<MemoryKeeper>, AgentError> {
    let models = models(client).await?.filter(|models| !models.is_empty());
    Ok(models.map(|models| {
        let is_gateway = models.iter().any(|model| model.starts_with("openclaw/"));
        if is_gateway { MemoryKeeper::Gateway } else { MemoryKeeper::Thread }
    }))
}

/// The models that a server has; of a gateway, its agents. `None`: it does not say.
///
/// # Errors
/// It refuses us, or nobody is there.
async fn models(client: &GatewayClient) -> Result<Option<Vec<String>>, AgentError> {
    let endpoint = client.endpoint();
    let answer = client.get(endpoint.models()).await?;
    if matches!(answer.status().as_u16(), 401 | 403 | 429 | 502 | 503) {
        return Err(refusal::of(answer, endpoint, &OF_A_TURN).await);
    }
    if !answer.status().is_success() {
        return Ok(None);
    }
    let body = read_body(answer, endpoint, BODY_LIMIT_BYTES).await?;
    let list: Option<ModelList> = serde_json::from_slice(&body).ok();
    Ok(list.map(|list| list.data.into_iter().map(|model| model.id).collect()))
}
