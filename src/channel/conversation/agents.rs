//! The agent that a user has: the deployment's, with what is the user's own.

use agent::Agent;
use agent::error::AgentError;
use agent::target::{Endpoint, Target};
use sqlx::PgConnection;
use store::secret_keys::{Sealed, SecretKeys};
use store::user_agents::{self, UserAgent};

use crate::app::App;

/// An agent, or why there is none that could be asked.
pub type UsersAgent = Result<Agent, AgentError>;

/// The agent of a user. A user who is gone has the deployment's.
pub async fn of_user(app: &App, conn: &mut PgConnection, user_id: Option<&str>) -> sqlx::Result<UsersAgent> {
    let Some(user_id) = user_id else { return Ok(Ok(app.agent.clone())) };
    let own = user_agents::get(conn, user_id).await?;
    Ok(match own {
        None => Ok(app.agent.clone()),
        Some(own) => {
            target(&app.settings.secret_keys, user_id, own).map(|own| app.agent.asking(&own, &app.gateways))
        }
    })
}

/// Its name, as it is kept with each turn.
pub fn name(agent: &UsersAgent) -> String {
    agent.as_ref().map_or_else(|_| "none".to_owned(), Agent::name)
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
