//! `channel_agent_outages`: the times in which an agent answered nobody.

use sqlx::PgConnection;

use crate::alerts::AlertCause;
use crate::ids::OutageId;
use crate::text_enum::text_enum;

text_enum! {
    /// What is wrong with an agent.
    pub enum AgentTrouble in ["channel_agent_outages.trouble"] {
        /// The gateway refuses the token.
        Token = "token",
        /// The gateway takes no turns at this address.
        Endpoint = "endpoint",
        /// The agent or the model is unknown there.
        Name = "name",
        /// Nobody is there.
        Unreachable = "unreachable",
        /// The gateway has locked this machine out.
        LockedOut = "locked_out",
        /// The gateway wants us to wait.
        Busy = "busy",
        /// The gateway is well, and what stands behind it is not.
        Provider = "provider",
        /// Our own configuration.
        Setup = "setup",
        /// Turns fail, and it does not say why.
        Failing = "failing",
    }
}

impl AgentTrouble {
    /// The alert that tells of it.
    #[must_use]
    pub const fn alert(self) -> AlertCause {
        match self {
            Self::Token => AlertCause::AgentToken,
            Self::Endpoint => AlertCause::AgentEndpoint,
            Self::Name => AlertCause::AgentName,
            Self::Unreachable => AlertCause::AgentUnreachable,
            Self::LockedOut => AlertCause::AgentLockedOut,
            Self::Busy => AlertCause::AgentBusy,
            Self::Provider => AlertCause::AgentProvider,
            Self::Setup => AlertCause::AgentSetup,
            Self::Failing => AlertCause::AgentFailing,
        }
    }
}

/// A turn has failed: the outage of its agent that lasts, or a new one. One in which nothing has failed for a day had ended: the agent was not
/// asked any more, so that nothing showed it.
pub async fn open(conn: &mut PgConnection, agent: &str, trouble: AgentTrouble) -> sqlx::Result<OutageId> {
    sqlx::query(
        "UPDATE channel_agent_outages SET closed_at = failed_at
         WHERE agent = $1 AND closed_at IS NULL AND failed_at < clock_timestamp() - interval '1 day'",
    )
    .bind(agent)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "INSERT INTO channel_agent_outages (agent, trouble) VALUES ($1, $2)
         ON CONFLICT (agent) WHERE closed_at IS NULL DO UPDATE SET failed_at = clock_timestamp() RETURNING id",
    )
    .bind(agent)
    .bind(trouble)
    .fetch_one(conn)
    .await
}

/// What the answer of an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Ended {
    /// There was an outage.
    pub outage: bool,
    /// One of its alerts is open, which the caller closes.
    pub alerts: bool,
}

/// An agent has answered: its outage is over, and so is what these alerts tell of.
pub async fn end(conn: &mut PgConnection, agent: &str, alerts: &[AlertCause]) -> sqlx::Result<Ended> {
    sqlx::query_as(
        "WITH ended AS (UPDATE channel_agent_outages SET closed_at = clock_timestamp() WHERE agent = $1 AND closed_at IS NULL RETURNING id)
         SELECT EXISTS (SELECT FROM ended) AS outage, EXISTS (SELECT FROM channel_alerts WHERE cause = ANY ($2) AND closed_at IS NULL) AS alerts",
    )
    .bind(agent)
    .bind(alerts)
    .fetch_one(conn)
    .await
}
