//! What the ends of turns tell of an agent: its outages, in each of which a person reads one apology at most, and the operator's alerts.
//!
//! Alerts are about what the operator has set up: the deployment's own agent, and the gateway that users' agents share. What a user has set up
//! alone, a gateway or an agent's name, is the user's to mend; it raises none, and its turns say what is wrong.

use std::time::Duration;

use agent::Agent;
use agent::error::{AgentError, AgentErrorClass, Trouble};
use queue::transaction::Transaction;
use store::agent_outages::{self, AgentTrouble};
use store::alerts::AlertCause;
use store::ids::{ConversationId, OutageId};

use super::turn_budget::TurnBudget;
use crate::alerts;
use crate::app::App;
use crate::write_error::WriteError;

/// Who has set an agent up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The operator, all of it.
    Deployment,
    /// The operator its gateway, the user its name.
    SharedGateway,
    /// The user.
    User,
}

/// What stands between the name of an agent that a user has set up and the conversation that it is for.
const OF_CONVERSATION: &str = " of conversation ";

/// The operator's agent, as its outages name it.
#[must_use]
pub fn name_of(agent: &Agent) -> String {
    match agent {
        Agent::Echo => agent.name(),
        Agent::OpenClaw(client) => format!("{} {}", client.endpoint(), agent.name()),
    }
}

/// Whether an agent that an outage names so is a user's own.
pub(crate) fn is_a_users(name: &str) -> bool {
    name.contains(OF_CONVERSATION)
}

/// An agent as its outages name it.
#[derive(Clone, Debug)]
pub struct AgentIdentity {
    /// `None`: what the user has set cannot be asked at all, and nothing will ever show that it answers again.
    name: Option<String>,
    whose: Whose,
}

impl AgentIdentity {
    pub(super) fn of(agent: Option<&Agent>, whose: Whose, conversation_id: ConversationId) -> Self {
        let name = agent.map(|agent| match whose {
            // Two users' gateways may stand at one address, and differ by their tokens.
            Whose::User => format!("{}{OF_CONVERSATION}{conversation_id}", name_of(agent)),
            Whose::Deployment | Whose::SharedGateway => name_of(agent),
        });
        Self { name, whose }
    }

    fn alerts_of(&self, trouble: AgentTrouble) -> bool {
        match self.whose {
            Whose::Deployment => true,
            Whose::SharedGateway => OF_THE_GATEWAY.contains(&trouble),
            Whose::User => false,
        }
    }
}

const ALL: [AgentTrouble; 9] = [
    AgentTrouble::Token,
    AgentTrouble::Endpoint,
    AgentTrouble::Name,
    AgentTrouble::Unreachable,
    AgentTrouble::LockedOut,
    AgentTrouble::Busy,
    AgentTrouble::Provider,
    AgentTrouble::Setup,
    AgentTrouble::Failing,
];

/// What is the same for all agents of a gateway.
const OF_THE_GATEWAY: [AgentTrouble; 5] = [
    AgentTrouble::Token,
    AgentTrouble::Endpoint,
    AgentTrouble::Unreachable,
    AgentTrouble::LockedOut,
    AgentTrouble::Busy,
];

/// A gateway that restarts is no news before this.
const NEWS_AFTER: Duration = Duration::from_secs(30);

/// What a failed call tells of the agent; `None`: it was about the turn alone.
#[must_use]
pub fn trouble(error: &AgentError) -> Option<AgentTrouble> {
    if error.class() == AgentErrorClass::Permanent {
        return None;
    }
    let (AgentError::Refused { trouble, .. } | AgentError::Unavailable { trouble, .. }) = error else {
        return Some(match error.class() {
            AgentErrorClass::Configuration => AgentTrouble::Setup,
            AgentErrorClass::RateLimited => AgentTrouble::Provider,
            _ => AgentTrouble::Failing,
        });
    };
    Some(match trouble {
        Trouble::Token => AgentTrouble::Token,
        Trouble::Endpoint => AgentTrouble::Endpoint,
        Trouble::Name => AgentTrouble::Name,
        Trouble::Unreachable => AgentTrouble::Unreachable,
        Trouble::LockedOut => AgentTrouble::LockedOut,
        Trouble::Busy => AgentTrouble::Busy,
        Trouble::Provider => AgentTrouble::Provider,
        Trouble::Setup => AgentTrouble::Setup,
    })
}

/// A call failed, and another will be made. The operator is told where nothing mends itself, or where it has lasted for a while.
pub async fn note_wait(
    app: &App,
    tx: &mut Transaction,
    agent: &AgentIdentity,
    budget: &TurnBudget,
    error: &AgentError,
) -> Result<(), WriteError> {
    match trouble(error) {
        Some(trouble @ AgentTrouble::LockedOut) => raise(app, tx, agent, trouble, &error.to_string()).await,
        Some(trouble @ (AgentTrouble::Unreachable | AgentTrouble::Busy)) if budget.age() >= NEWS_AFTER => {
            raise(app, tx, agent, trouble, &error.to_string()).await
        }
        _ => Ok(()),
    }
}

/// A person's turn came to nothing for its agent's sake. Returns the outage that it belongs to.
pub async fn note_failure(
    app: &App,
    tx: &mut Transaction,
    agent: &AgentIdentity,
    trouble: AgentTrouble,
    reason: &str,
) -> Result<Option<OutageId>, WriteError> {
    let outage_id = match &agent.name {
        Some(name) => Some(agent_outages::open(tx, name, trouble).await?),
        None => None,
    };
    raise(app, tx, agent, trouble, reason).await?;
    Ok(outage_id)
}

/// The agent has answered.
pub async fn note_answer(app: &App, tx: &mut Transaction, agent: &AgentIdentity) -> Result<(), WriteError> {
    let Some(name) = &agent.name else { return Ok(()) };
    let over: Vec<AlertCause> =
        ALL.into_iter().filter(|trouble| agent.alerts_of(*trouble)).map(AgentTrouble::alert).collect();
    let ended = agent_outages::end(tx, name, &over).await?;
    if ended.alerts {
        alerts::close(tx, &app.settings, &over).await?;
    }
    if ended.outage {
        tracing::info!(agent = name, "The agent answers again: {name}");
    }
    Ok(())
}

/// Raises the operator's alert, if the trouble is the operator's.
pub async fn raise(
    app: &App,
    tx: &mut Transaction,
    agent: &AgentIdentity,
    trouble: AgentTrouble,
    reason: &str,
) -> Result<(), WriteError> {
    if !agent.alerts_of(trouble) {
        return Ok(());
    }
    let remedy = match trouble {
        // The reason says it.
        AgentTrouble::Token
        | AgentTrouble::Endpoint
        | AgentTrouble::Name
        | AgentTrouble::Provider
        | AgentTrouble::Setup => "",
        AgentTrouble::Unreachable => "; check OPENCLAW_BASE_URL, and whether the gateway runs",
        AgentTrouble::LockedOut => {
            "; somebody at this machine's address comes with wrong tokens, a user's own gateway perhaps: the lock ends by itself, or with a restart \
             of the gateway"
        }
        AgentTrouble::Busy => "; look at the limits of the gateway and of the model behind it",
        AgentTrouble::Failing => "; look at the gateway's log, and at `cloudybot turns list --state failed`",
    };
    let detail = format!(
        "{reason}{remedy}; when it works again, `cloudybot turns retry --since TIME` answers what was not answered"
    );
    alerts::raise(tx, &app.settings, trouble.alert(), &detail).await
}

#[cfg(test)]
mod tests {
    use agent::withheld::Withheld;

    use super::*;

    #[test]
    fn what_a_user_has_set_up_alone_raises_no_alert() {
        for (whose, trouble, raises) in [
            (Whose::Deployment, AgentTrouble::Name, true),
            (Whose::Deployment, AgentTrouble::Failing, true),
            (Whose::SharedGateway, AgentTrouble::Unreachable, true),
            (Whose::SharedGateway, AgentTrouble::Name, false),
            (Whose::SharedGateway, AgentTrouble::Failing, false),
            (Whose::User, AgentTrouble::Unreachable, false),
            (Whose::User, AgentTrouble::LockedOut, false),
        ] {
            let agent = AgentIdentity::of(Some(&Agent::Echo), whose, ConversationId(1));

            assert_eq!(agent.alerts_of(trouble), raises, "{whose:?} {trouble}");
        }
    }

    #[test]
    fn a_turn_that_the_agent_refuses_tells_nothing_of_the_agent() {
        let unavailable =
            AgentError::Unavailable { trouble: Trouble::LockedOut, retry_after: None, reason: String::new() };
        for (error, tells) in [
            (AgentError::Permanent(String::new()), None),
            (AgentError::Empty(Withheld::default()), Some(AgentTrouble::Failing)),
            (AgentError::GaveUp(String::new()), Some(AgentTrouble::Failing)),
            (AgentError::Configuration(String::new()), Some(AgentTrouble::Setup)),
            (unavailable, Some(AgentTrouble::LockedOut)),
        ] {
            assert_eq!(trouble(&error), tells, "{error:?}");
        }
    }
}
