//! Takes plain messages of known people in together: those that arrive while a transaction is under way share the next one. Whatever is out of
//! the ordinary is left to `intake`, which has a transaction for each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use queue::Queue;
use queue::connections::Connections;
use queue::job::NewJob;
use queue::trace::TraceParent;
use store::addresses::Name;
use store::arrivals::{Arrived, Inserted};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use twilio::inbound::InboundMessage;

use super::commands::PersonCommand;
use super::intake::{self, TakenIn};
use crate::app::Settings;
use crate::kinds::ReceiveMessage;
use crate::lanes;
use crate::write_error::WriteError;

/// Messages of one transaction.
const MOST: usize = 64;

/// A transaction that takes longer is not waited for: another begins beside it. Until then messages gather for the next one, which costs the server
/// much less than several small ones; a second writer makes the batches half as large, and the way in slower.
const UNHURRIED: Duration = Duration::from_millis(20);

/// Transactions at a time at most.
const WRITERS_AT_MOST: usize = 4;

/// The way to the task that writes; clones lead to the same one.
#[derive(Clone, Debug)]
pub struct Batcher(UnboundedSender<WaitingMessage>);

#[derive(Debug)]
struct WaitingMessage {
    names: Vec<Name>,
    sid: String,
    body: String,
    params: serde_json::Value,
    trace: Option<TraceParent>,
    answer: oneshot::Sender<TakenIn>,
}

impl Batcher {
    /// Starts the task, which ends with the last clone. A transaction that takes longer than `patience` is given up.
    #[must_use]
    pub fn start(queue: Queue, pg: Connections, patience: Duration) -> Self {
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(write(queue, pg, patience, receiver));
        Self(sender)
    }

    /// Takes a message in together with others; it is committed then. `None`: it has to be taken in alone, and perhaps it is stored
    /// already, since the answer to a commit can be lost.
    pub async fn take_in(
        &self,
        settings: &Settings,
        message: &InboundMessage,
        params: serde_json::Value,
    ) -> Option<TakenIn> {
        if message.opt_out_type.is_some()
            || PersonCommand::of(message, settings.words()) != PersonCommand::Text
        {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let waiting = WaitingMessage {
            names: intake::names_of(message),
            sid: message.sid.clone(),
            body: message.body.clone(),
            params,
            trace: TraceParent::current(),
            answer,
        };
        self.0.send(waiting).ok()?;
        answered.await.ok()
    }
}

async fn write(
    queue: Queue,
    pg: Connections,
    patience: Duration,
    mut receiver: UnboundedReceiver<WaitingMessage>,
) {
    let (usual, all) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(WRITERS_AT_MOST)));
    let mut arrived = Vec::new();
    while let Ok(one_of_all) = all.clone().acquire_owned().await {
        let one_of_usual = tokio::time::timeout(UNHURRIED, usual.clone().acquire_owned()).await;
        if receiver.recv_many(&mut arrived, MOST).await == 0 {
            return;
        }
        let (queue, pg, messages) = (queue.clone(), pg.clone(), std::mem::take(&mut arrived));
        tokio::spawn(async move {
            match tokio::time::timeout(patience, store(&queue, &pg, messages)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "Could not store messages together: {error}")
                }
                Err(_) => tracing::warn!("Could not store messages together in time"),
            }
            drop((one_of_usual, one_of_all));
        });
    }
}

/// Stores what can be stored together and answers for it. Who gets no answer is told so by the end of the channel.
async fn store(queue: &Queue, pg: &Connections, mut messages: Vec<WaitingMessage>) -> Result<(), WriteError> {
    // A second webhook of the same message waits for what becomes of the first.
    let mut sids = HashSet::new();
    messages.retain(|message| sids.insert(message.sid.clone()));
    let arrived: Vec<Arrived<'_>> = messages
        .iter()
        .map(|message| Arrived {
            names: &message.names,
            sid: &message.sid,
            body: &message.body,
            params: &message.params,
        })
        .collect();

    let mut tx = queue.begin(pg).await?;
    let taken = store::arrivals::insert_together(&mut tx, &arrived).await?;
    let mut jobs = Vec::with_capacity(taken.len());
    let mut outcomes = Vec::with_capacity(taken.len());
    for one in taken {
        let Inserted::New { id, waiting_user, .. } = one.inserted else {
            outcomes.push((one.place, TakenIn::Known));
            continue;
        };
        outcomes.push((one.place, TakenIn::New(id)));
        let receive = NewJob::of(&ReceiveMessage { message: id }).lane(lanes::inbound(one.address_id));
        let planning = waiting_user.map(|user| intake::plan_waiting_job(user, one.address_id));
        let trace = messages[one.place].trace;
        jobs.extend(planning.into_iter().chain([receive]).map(|job| match trace {
            Some(trace) => job.trace(trace),
            None => job,
        }));
    }
    tx.enqueue_batch(jobs).await?;
    tx.commit().await?;

    let mut waiting: Vec<Option<WaitingMessage>> = messages.into_iter().map(Some).collect();
    for (place, outcome) in outcomes {
        if let Some(message) = waiting[place].take() {
            // Nobody waits for the answer where the webhook was given up meanwhile.
            let _ = message.answer.send(outcome);
        }
    }
    Ok(())
}
