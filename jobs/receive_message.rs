//! Decides what an inbound message means.
//!
//! Enqueued in the transaction that takes the message in, in the writer's lane, or in the lane of the writer's browser phrases; STOP and START never
//! get here. A claim token links the phone, a browser phrase ends the browser session, and what the writer may ask the agent is accepted and gets an
//! `answer`. Everything else ends here with its outcome. When it gives up, `close_message` follows. It may run twice after a crash: a message that
//! has its outcome already is left alone.

use channel::app::App;
use channel::conversation::{browser_session, debounce};
use channel::inbound::commands::PersonCommand;
use channel::inbound::moderation::ModerationVerdict;
use channel::inbound::{admission, claims, human};
use channel::kinds::ReceiveMessage;
use channel::texts;
use queue::attempt::Attempt;
use queue::failure::Failure;
use queue::transaction::Transaction;
use store::ids::MessageId;
use store::messages::{Message, MessageOutcome};

/// Runs a job of this kind.
pub async fn run(job: ReceiveMessage, app: App, attempt: Attempt) -> Result<(), Failure> {
    let Some(message) = waiting(&mut *app.pg.acquire().await?, job.message).await? else {
        return Ok(());
    };
    let command = PersonCommand::of_stored(&message.body, &message.params, app.settings.words());
    // What needs somebody else's answer is asked before anything is locked.
    let browser = match command {
        PersonCommand::EndBrowserSession => stop_browser(&app, &message).await?,
        _ => None,
    };
    let mut verdict = app.settings.moderation.by_rules(&message);
    loop {
        let mut tx = app.begin().await?;
        match &command {
            PersonCommand::Claim(token) => claims::lock_people(&app, &mut tx, &message, token).await?,
            _ => {
                store::addresses::lock(&mut tx, message.address_id).await?;
            }
        }
        let Some(message) = waiting(&mut tx, job.message).await? else { return Ok(()) };
        match decide(&app, &mut tx, &message, &command, browser, verdict.as_ref()).await? {
            Decision::Yes => {
                attempt.complete_and_commit(tx).await?;
                return Ok(());
            }
            Decision::AskModerator => {
                // That it was let through is kept, so that it is not counted again.
                tx.commit().await?;
                verdict = Some(app.settings.moderation.ask(&attempt, &message).await?);
            }
        }
    }
}

/// Whether everything about a message could be decided.
enum Decision {
    /// It has its outcome, or the agent shall see it.
    Yes,
    /// Only a moderator can say whether the agent may see it.
    AskModerator,
}

/// The message, if nothing has been decided about it.
async fn waiting(conn: &mut sqlx::PgConnection, id: MessageId) -> sqlx::Result<Option<Message>> {
    let message = store::messages::get(conn, id).await?;
    Ok(message.filter(|message| message.outcome.is_none() && message.accepted_at.is_none()))
}

async fn decide(
    app: &App,
    tx: &mut Transaction,
    message: &Message,
    command: &PersonCommand,
    browser: Option<&'static str>,
    verdict: Option<&ModerationVerdict>,
) -> Result<Decision, Failure> {
    if matches!(command, PersonCommand::Claim(_)) {
        // Also a refused one: it may still be worth something, or nearly be one that is.
        store::redactions::of_claim(tx, message.id).await?;
    }
    if *command == PersonCommand::Human {
        human::lead_to_person(app, tx, message).await?;
        return Ok(Decision::Yes);
    }
    if admission::is_late(tx, message).await? {
        return Ok(Decision::Yes);
    }
    if let PersonCommand::Claim(token) = command {
        claims::redeem(app, tx, message, token).await?;
        return Ok(Decision::Yes);
    }
    let Some(link) = admission::user(app, tx, message).await? else { return Ok(Decision::Yes) };
    if *command == PersonCommand::EndBrowserSession {
        // The writer was linked while we looked: now there is somebody to ask about.
        let Some(text) = browser else { return Err(Failure::retry("the writer has just been linked")) };
        admission::tell(app, tx, message, text).await?;
        store::messages::end(tx, message.id, MessageOutcome::Browser, text).await?;
        return Ok(Decision::Yes);
    }
    if !admission::pace(app, tx, message).await? {
        return Ok(Decision::Yes);
    }
    match verdict {
        None => return Ok(Decision::AskModerator),
        Some(ModerationVerdict::Blocked(reason)) => {
            admission::tell(app, tx, message, texts::MODERATED).await?;
            store::messages::end(tx, message.id, MessageOutcome::Moderated, reason).await?;
            return Ok(Decision::Yes);
        }
        Some(ModerationVerdict::Pass) => {}
    }
    let conversation = store::conversations::of_user(tx, &link.user_id).await?;
    store::conversations::lock(tx, conversation).await?;
    store::messages::mark_for_agent(tx, message.id, conversation).await?;
    debounce::enqueue_answer(tx, &app.settings.agent, conversation, message.id).await?;
    tracing::info!(message.id = message.id.0, "Accepted message {}", message.id);
    Ok(Decision::Yes)
}

/// Ends the browser session of the writer's conversation; what to say about it. `None`: the writer has nobody's phone.
async fn stop_browser(app: &App, message: &Message) -> Result<Option<&'static str>, Failure> {
    let mut conn = app.pg.acquire().await?;
    let Some(link) = store::links::proven_of_address(&mut conn, message.address_id).await? else {
        return Ok(None);
    };
    let conversation = store::conversations::of_user(&mut conn, &link.user_id).await?;
    drop(conn);
    Ok(Some(browser_session::end(app, &link.user_id, conversation, &message.sid).await?))
}
