//! `agent` of `/v1/users/{user}`: the gateway and the agent that a user has of their own.

use agent::target::Endpoint;
use channel::app::Settings;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use store::ids::UserId;
use store::secret_keys::Sealed;
use store::user_agents::{self, UserAgent};
use utoipa::ToSchema;

use crate::http::problem::Problem;

/// What is the user's own; what is left out is the deployment's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AgentRequest {
    /// The user's own gateway, `http://…` or `https://…`.
    #[schema(max_length = 2048, pattern = r"^[^\x00]*$")]
    base_url: Option<String>,
    /// Its token; left out, the one that the same gateway had stays. It is never shown again.
    #[schema(value_type = Option<String>, max_length = 4096, pattern = r"^[^\x00]*$")]
    token: Option<SecretString>,
    /// Which agent of the gateway answers.
    #[schema(max_length = 200, pattern = r"^\s*[!-~]*\s*$")]
    agent_id: Option<String>,
    /// Which model it uses.
    #[schema(max_length = 200, pattern = r"^\s*[!-~]*\s*$")]
    model: Option<String>,
}

/// The agent that a user has of their own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentView {
    base_url: Option<String>,
    /// Whether there is a token.
    has_token: bool,
    agent_id: Option<String>,
    model: Option<String>,
}

impl From<UserAgent> for AgentView {
    fn from(agent: UserAgent) -> Self {
        let UserAgent { base_url, token, agent_id, model, .. } = agent;
        Self { base_url, has_token: token.is_some(), agent_id, model }
    }
}

/// Gives a user an agent of their own, or the deployment's. The caller holds the user's lock.
pub(super) async fn put(
    conn: &mut PgConnection,
    settings: &Settings,
    user_id: &UserId,
    request: Option<AgentRequest>,
) -> Result<(), Problem> {
    let Some(request) = request else { return Ok(user_agents::delete(conn, user_id).await?) };
    let filled =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let base_url = filled(request.base_url);
    let token = request.token.filter(|token| !token.expose_secret().trim().is_empty());
    let Some(base_url) = base_url else {
        if token.is_some() {
            return Err(Problem::invalid("agent.token: it belongs to a gateway; give agent.baseUrl with it"));
        }
        let agent = UserAgent {
            agent_id: named("agentId", filled(request.agent_id))?,
            model: named("model", filled(request.model))?,
            ..UserAgent::default()
        };
        return Ok(user_agents::put(conn, user_id, &agent).await?);
    };
    let endpoint = Endpoint::new(&base_url, token.as_ref().unwrap_or(&"".into()))
        .and_then(|endpoint| settings.agent_hosts.check(&endpoint).map(|()| endpoint))
        .map_err(|error| Problem::invalid(format!("agent.baseUrl: {error}")))?;
    let former = user_agents::get(conn, user_id).await?.unwrap_or_default();
    let keys = &settings.secret_keys;
    let (token, sealed_by) = match token {
        Some(token) => {
            (Some(keys.seal(Sealed::AgentToken, user_id.as_str(), &token)), Some(keys.fingerprint()))
        }
        // Another gateway never gets to see it.
        None => {
            let same = former.base_url.as_ref().and_then(|base_url| Endpoint::new(base_url, &"".into()).ok());
            same.filter(|same| same.is_same_gateway(&endpoint))
                .map_or((None, None), |_| (former.token, former.sealed_by))
        }
    };
    let agent = UserAgent {
        base_url: Some(base_url),
        token,
        sealed_by,
        agent_id: named("agentId", filled(request.agent_id))?,
        model: named("model", filled(request.model))?,
    };
    Ok(user_agents::put(conn, user_id, &agent).await?)
}

/// A name that can stand in a header.
fn named(field: &str, name: Option<String>) -> Result<Option<String>, Problem> {
    match name {
        Some(name) if name.len() > 200 || !name.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Problem::invalid(format!(
                "agent.{field}: it must be of at most 200 visible ASCII characters, without spaces"
            )))
        }
        name => Ok(name),
    }
}
