//! The agent that a user has: the deployment's, with what is the user's own.

use agent::Agent;
use agent::error::AgentError;
use agent::target::{Endpoint, Target};
use sqlx::PgConnection;
use store::secret_keys::{Sealed, SecretKeys};
use store::user_agents::{self, UserAgent};

use crate::app::App;

/// The agent of a user.
pub enum UsersAgent {
    /// It can be asked.
    Usable(Agent),
    /// What the user has set cannot be used, for this reason.
    Unusable(AgentError),
}

impl UsersAgent {
    /// Its name, as it is kept with each turn.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Usable(agent) => agent.name(),
            Self::Unusable(_) => "none".to_owned(),
        }
    }

    /// The agent to ask, or why there is none.
    pub fn usable(self) -> Result<Agent, AgentError> {
        match self {
            Self::Usable(agent) => Ok(agent),
            Self::Unusable(error) => Err(error),
        }
    }
}

/// The agent of a user. A user who is gone has the deployment's.
pub async fn of_user(app: &App, conn: &mut PgConnection, user_id: Option<&str>) -> sqlx::Result<UsersAgent> {
    let Some(user_id) = user_id else { return Ok(UsersAgent::Usable(app.agent.clone())) };
    let Some(own) = user_agents::get(conn, user_id).await? else {
        return Ok(UsersAgent::Usable(app.agent.clone()));
    };
    Ok(match target(&app.settings.secret_keys, user_id, own) {
        Ok(own) => UsersAgent::Usable(app.agent.asking(&own, &app.gateways)),
        Err(error) => UsersAgent::Unusable(error),
    })
}

fn target(keys: &SecretKeys, user_id: &str, own: UserAgent) -> Result<Target, AgentError> {
    let token = own.token.map(|token| {
        let lost = "the token of the user's own gateway cannot be opened: put the former key back behind the comma in CLOUDYBOT_SECRET_KEY, or set the token anew";
        keys.open(Sealed::AgentToken, user_id, &token).ok_or_else(|| AgentError::Configuration(lost.to_owned()))
    });
    let token = token.transpose()?.unwrap_or_else(|| "".into());
    let endpoint = own.base_url.map(|base_url| Endpoint::new(&base_url, &token)).transpose()?;
    Ok(Target { endpoint, agent_id: own.agent_id, model: own.model })
}
