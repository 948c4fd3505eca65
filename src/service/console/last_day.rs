//! What came and was done in the last day. One look serves all pages of this process for a minute, since it costs more than a page's other statements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use queue::finished_jobs;
use sqlx::PgConnection;
use store::message_records;
use tokio::sync::Mutex;

use super::sparkline::Sparkline;

/// So long a look is good enough for drawings of half hours.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// The last look; clones share it.
#[derive(Clone, Default)]
pub(super) struct LastDay(Arc<Mutex<Option<(Instant, DayLines)>>>);

/// The drawings of the last day.
#[derive(Clone)]
pub(super) struct DayLines {
    pub(super) messages: Sparkline,
    pub(super) jobs: Sparkline,
}

impl LastDay {
    /// The drawings, at most a minute old. Pages that ask meanwhile wait for the one that looks.
    pub(super) async fn lines(&self, conn: &mut PgConnection) -> sqlx::Result<DayLines> {
        let mut kept = self.0.lock().await;
        if let Some((looked_at, lines)) = &*kept
            && looked_at.elapsed() < GOOD_FOR
        {
            return Ok(lines.clone());
        }
        let lines = DayLines {
            messages: Sparkline::per_half_hour(&message_records::by_half_hour(conn).await?),
            jobs: Sparkline::per_half_hour(&finished_jobs::by_half_hour(conn).await?),
        };
        *kept = Some((Instant::now(), lines.clone()));
        Ok(lines)
    }
}
