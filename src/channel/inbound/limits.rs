//! How fast people may write. Counted by the time of arrival, in Postgres, so all processes share the count.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use store::ids::{AddressId, ConversationId};
use store::rate_buckets::{self, Bucket, Rate};

/// The operator's limits; 0: none.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RateLimits {
    /// Messages of one user in a minute, in the long run …
    pub per_sender_per_min: u32,
    /// … and at once.
    pub per_sender_burst: u32,
    /// Messages of one stranger in an hour that are looked at.
    pub unlinked_per_hour: u32,
    /// Messages of all users in a minute; what is more waits.
    pub total_per_min: u32,
}

/// A notice about the limit is sent once in this time.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

impl RateLimits {
    /// Whether a user may write this.
    pub(crate) async fn admit_writer(
        &self,
        conn: &mut PgConnection,
        address_id: AddressId,
        at: DateTime<Utc>,
    ) -> sqlx::Result<bool> {
        self.admit(conn, Bucket::Writer(address_id), Some(at)).await
    }

    /// Whether a user may write one more message on a page, where they have the same pace as on the phone.
    pub(crate) async fn admit_on_page(
        &self,
        conn: &mut PgConnection,
        conversation_id: ConversationId,
    ) -> sqlx::Result<bool> {
        self.admit(conn, Bucket::Page(conversation_id), None).await
    }

    async fn admit(
        &self,
        conn: &mut PgConnection,
        bucket: Bucket,
        at: Option<DateTime<Utc>>,
    ) -> sqlx::Result<bool> {
        if self.per_sender_per_min == 0 {
            return Ok(true);
        }
        let rate = Rate {
            capacity: f64::from(self.per_sender_burst.max(1)),
            per_sec: f64::from(self.per_sender_per_min) / 60.0,
        };
        rate_buckets::take(conn, bucket, rate, at).await
    }

    /// Whether a stranger may write this.
    pub(crate) async fn admit_stranger(
        &self,
        conn: &mut PgConnection,
        address_id: AddressId,
        at: DateTime<Utc>,
    ) -> sqlx::Result<bool> {
        if self.unlinked_per_hour == 0 {
            return Ok(true);
        }
        let per_hour = f64::from(self.unlinked_per_hour);
        let rate = Rate { capacity: per_hour, per_sec: per_hour / 3600.0 };
        rate_buckets::take(conn, Bucket::Unlinked(address_id), rate, Some(at)).await
    }

    /// How long a message must wait because all together are too many; `None`: not at all.
    pub(crate) async fn wait_for_all(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Duration>> {
        if self.total_per_min == 0 {
            return Ok(None);
        }
        let per_min = f64::from(self.total_per_min);
        // Ten seconds' worth at once.
        let rate = Rate { capacity: (per_min / 6.0).max(1.0), per_sec: per_min / 60.0 };
        if rate_buckets::take(conn, Bucket::Total, rate, None).await? {
            return Ok(None);
        }
        let wait = rate_buckets::wait_secs(conn, Bucket::Total, rate).await?;
        Ok(Some(Duration::from_secs_f64(wait.clamp(0.05, 60.0))))
    }
}
