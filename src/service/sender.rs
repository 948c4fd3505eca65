//! A sender that Twilio refuses is held back; what an administrator does about it, at a terminal or over HTTP.

use channel::app::Settings;
use channel::outbound::sender;
use channel::pools;
use channel::write_error::WriteError;
use queue::Queue;
use queue::audit;
use queue::connections::Connections;
use queue::pauses::Scope;
use serde::Serialize;
use utoipa::ToSchema;

/// What came of letting something go on.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Resumed {
    /// False: it was not paused.
    pub(crate) changed: bool,
    /// Our sender was held back and is tried out now; if Twilio refuses it again, so is sending.
    pub(crate) probing: bool,
}

/// Lets a pool or a kind go on. It stands until Twilio refuses us once more: a held-back sender is tried out at once.
pub(crate) async fn resume(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    scope: Scope,
    name: &str,
    actor: &str,
) -> Result<Resumed, WriteError> {
    let changed = queue.resume(scope, name, actor).await?;
    let sends = scope == Scope::Pool && pools::SENDING.contains(&name);
    let probing = sends && probed(queue, pg, settings, actor, false).await?;
    Ok(Resumed { changed, probing })
}

/// Tries a held-back sender out at once. False: it is not held back.
pub(crate) async fn probe(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    actor: &str,
) -> Result<bool, WriteError> {
    probed(queue, pg, settings, actor, true).await
}

/// Whether somebody asked for just that is told where nothing came of it.
async fn probed(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    actor: &str,
    was_asked: bool,
) -> Result<bool, WriteError> {
    let mut tx = queue.begin(pg).await?;
    let probing = sender::probe_now(&mut tx, settings).await?;
    if probing || was_asked {
        let outcome = if probing { "it is tried out now" } else { "it is not held back" };
        audit::note(&mut tx, actor, "probe", "the sender", outcome).await?;
    }
    tx.commit().await?;
    Ok(probing)
}
