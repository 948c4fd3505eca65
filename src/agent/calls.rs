//! The calls that a turn makes.

use std::time::Instant;

use crate::chat::{AnswerForm, Asked};
use crate::client::GatewayClient;
use crate::error::AgentError;
use crate::memory::Memory;
use crate::session_history::TurnInSession;
use crate::turn::{AgentAnswer, TurnRequest};
use crate::{chat, completion, refusal};

impl GatewayClient {
    /// Runs a turn. A model that takes no request of this length is asked again with less of what was said before: it has refused, so nothing
    /// has begun.
    pub(crate) async fn complete(&self, turn: &TurnRequest) -> Result<AgentAnswer, AgentError> {
        let in_session = TurnInSession::new(self, turn, Instant::now());
        let mut memory = turn.memory.clone();
        loop {
            let answered = self.complete_with(turn, &in_session, &memory).await;
            match (answered, memory.shorter()) {
                (Err(AgentError::TooLong(reason)), Some(shorter)) => {
                    tracing::warn!(
                        conversation = turn.conversation_id,
                        "Asking again with less of the conversation; lower openclaw.memory_limit_bytes: {}",
                        AgentError::TooLong(reason).without_quotes(&turn.words())
                    );
                    memory = shorter;
                }
                (answered, _) => return answered,
            }
        }
    }

    /// A stream that could not be corrected is asked for again as a whole, once: the agent has acted, and must not do so a third time.
    async fn complete_with(
        &self,
        turn: &TurnRequest,
        in_session: &TurnInSession<'_>,
        memory: &Memory,
    ) -> Result<AgentAnswer, AgentError> {
        let is_again = turn.asked_before.is_some();
        match self.ask(turn, in_session, memory, AnswerForm::Stream, is_again).await {
            Err(AgentError::Corrected(reason)) if is_again => Err(AgentError::GaveUp(reason)),
            Err(AgentError::Corrected(reason)) => {
                tracing::info!(
                    conversation = turn.conversation_id,
                    "Asking again without a stream: {reason}"
                );
                let whole = self.ask(turn, in_session, memory, AnswerForm::Whole, true).await;
                whole.map_err(|error| AgentError::GaveUp(error.to_string()))
            }
            answered => answered,
        }
    }

    async fn ask(
        &self,
        turn: &TurnRequest,
        in_session: &TurnInSession<'_>,
        memory: &Memory,
        form: AnswerForm,
        is_again: bool,
    ) -> Result<AgentAnswer, AgentError> {
        let gateway_remembers = *memory == Memory::Gateway;
        let asked = match is_again {
            true if gateway_remembers && in_session.keeps_question().await => Asked::AgainAndKept,
            true => Asked::Again,
            false => Asked::New,
        };
        let headers = chat::headers(turn, self.target())?;
        let body = chat::body(turn, memory, self.target(), form, asked);
        let began = Instant::now();
        let response = self.post(self.endpoint().chat(), headers, &body).await?;
        let answered = if response.status().is_success() {
            tracing::debug!(gateway = %self.endpoint(), conversation = turn.conversation_id, "The agent is at work");
            completion::read(response, self.endpoint(), self.idle_timeout()).await
        } else {
            Err(refusal::of(response, self.endpoint(), &refusal::OF_A_TURN).await)
        };
        match answered {
            // OpenClaw takes no silence in a direct conversation: it asks its model once more, and then fails.
            Err(AgentError::Transient(_)) if gateway_remembers && in_session.has_chosen_silence().await => {
                Ok(AgentAnswer::silence())
            }
            answered => answered.map_err(|error| error.after(began.elapsed())),
        }
    }
}
