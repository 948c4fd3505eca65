//! The agent that a user has: the deployment's, with what is the user's own.

use std::time::Instant;

use agent::Agent;
use agent::error::AgentError;
use agent::target::{Endpoint, Target};
use agent::turn::{AgentAnswer, TurnRequest};
use sqlx::PgConnection;
use store::ids::{ConversationId, UserId};
use store::secret_keys::{Sealed, SecretKeys};
use store::user_agents::{self, UserAgent};

use super::agent_health::{AgentIdentity, Whose};
use crate::app::App;
use crate::counters::COUNTERS;

/// The agent of a user.
pub struct UsersAgent {
    /// The agent, or why what the user has set cannot be used.
    agent: Result<Agent, AgentError>,
    whose: Whose,
}

impl UsersAgent {
    /// Its name, as it is kept with each turn.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.agent {
            Ok(agent) => agent.name(),
            Err(_) => "none".to_owned(),
        }
    }

    /// What its outages are told apart by.
    #[must_use]
    pub fn identity(&self, conversation_id: ConversationId) -> AgentIdentity {
        AgentIdentity::of(self.agent.as_ref().ok(), self.whose, conversation_id)
    }

    /// The agent to ask, or why there is none.
    pub fn usable(self) -> Result<Agent, AgentError> {
        self.agent
    }
}

/// Asks an agent, and counts what comes of it.
pub async fn ask(agent: &Agent, request: &TurnRequest) -> Result<AgentAnswer, AgentError> {
    let begun = Instant::now();
    let asked = agent.send_to_openclaw(request).await;
    COUNTERS.note_ask(&asked, begun.elapsed());
    asked
}

/// The agent of a user. A user who is gone has the deployment's.
pub async fn of_user(
    app: &App,
    conn: &mut PgConnection,
    user_id: Option<&UserId>,
) -> sqlx::Result<UsersAgent> {
    let deployments = || UsersAgent { agent: Ok(app.agent.clone()), whose: Whose::Deployment };
    let Some(user_id) = user_id else { return Ok(deployments()) };
    let Some(own) = user_agents::get(conn, user_id).await? else { return Ok(deployments()) };
    let whose = if own.base_url.is_some() { Whose::User } else { Whose::SharedGateway };
    let target = target(&app.settings.secret_keys, user_id, own);
    Ok(UsersAgent { agent: target.map(|own| app.agent.asking(&own, &app.gateways)), whose })
}

fn target(keys: &SecretKeys, user_id: &UserId, own: UserAgent) -> Result<Target, AgentError> {
    let token = own.token.map(|token| {
        let lost = "the token of the user's own gateway cannot be opened: put the former key back behind the comma in CLOUDYBOT_SECRET_KEY, or set the token anew";
        keys.open(Sealed::AgentToken, user_id.as_str(), &token).ok_or_else(|| AgentError::Configuration(lost.to_owned()))
    });
    let token = token.transpose()?.unwrap_or_else(|| "".into());
    let endpoint = own.base_url.map(|base_url| Endpoint::new(&base_url, &token)).transpose()?;
    Ok(Target { endpoint, agent_id: own.agent_id, model: own.model })
}
