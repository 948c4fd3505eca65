//! What stands in the way of words to a person. Link, country, STOP, the words themselves with quiet hours and their allowance, and the window are judged in
//! this order when a delivery is planned. Right before each attempt to send a chunk, and when an administrator has one sent again, the words are known to be
//! right: link, country, STOP and window are judged.

use sqlx::PgConnection;
use store::addresses::{Address, Name};
use store::chunks::{Chunk, End};
use store::deliveries::Obstacle;

use crate::app::Settings;

/// How a person stands to us, as far as words depend on it. It is valid under the lock of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// There is a link that holds, and a name to write to.
    pub(crate) is_linked: bool,
    /// The assistant may talk to the person's country, or the channel itself speaks.
    pub(crate) country_is_listed: bool,
    /// The person wants no proactive messages, and this would be one.
    pub(crate) is_opted_out: bool,
    /// WhatsApp lets free text through.
    pub(crate) window_is_open: bool,
}

impl Standing {
    /// How the person stands to whom a planned chunk goes.
    pub(crate) async fn for_chunk(
        conn: &mut PgConnection,
        settings: &Settings,
        chunk: &Chunk,
        address: &Address,
        names: &[Name],
    ) -> sqlx::Result<Self> {
        let is_linked = chunk.link_holds && !names.is_empty();
        let is_asked = is_linked && chunk.of_own_accord;
        let is_opted_out = is_asked && store::opt_outs::exists(conn, &settings.secret_keys, names).await?;
        let country_is_listed = chunk.is_notice || settings.compliance.allows(names);
        let window_is_open = settings.window_is_open(address.last_inbound_at, chunk.now);
        Ok(Self { is_linked, country_is_listed, is_opted_out, window_is_open })
    }

    /// The first obstacle, `of_words` among them: what is wrong with the words, or that their allowance has no room. `None`: they may be sent.
    pub(crate) fn obstacle(
        self,
        is_template: bool,
        of_words: impl FnOnce() -> Option<Obstacle>,
    ) -> Option<Obstacle> {
        if !self.is_linked {
            return Some(Obstacle::NotLinked);
        }
        if !self.country_is_listed {
            return Some(Obstacle::Country);
        }
        if self.is_opted_out {
            return Some(Obstacle::OptedOut);
        }
        of_words().or((!self.window_is_open && !is_template).then_some(Obstacle::Window))
    }
}

/// How a planned chunk ends that meets an obstacle. The person's own STOP cancels it.
pub(super) fn end_of_chunk(obstacle: Obstacle) -> End {
    match obstacle {
        Obstacle::OptedOut => End::Cancelled,
        Obstacle::NotLinked
        | Obstacle::Country
        | Obstacle::Empty
        | Obstacle::TemplateVariable
        | Obstacle::QuietHours
        | Obstacle::Quota
        | Obstacle::Window => End::Blocked,
    }
}

/// An obstacle as an administrator reads it.
pub(crate) fn told(obstacle: Obstacle) -> String {
    let (first, rest) = obstacle.meaning().trim_end_matches('.').split_at(1);
    format!("{obstacle}: {}{rest}", first.to_lowercase())
}
