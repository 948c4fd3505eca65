//! What proactive deliveries take from their users' allowances.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use queue::transaction::Transaction;
use store::allowances::{self, ReservationWish};
use store::ids::UserId;

use crate::app::Settings;
use crate::outbound::proactive::assessment::Assessment;
use crate::outbound::proactive::eligibility::{self, Eligibility};

/// Takes what is needed from the users' allowances; returns who got it. Somebody else may have taken what was left between two looks.
pub(super) async fn reserve(
    tx: &mut Transaction,
    wished: &[(&Eligibility, &Assessment)],
) -> sqlx::Result<HashSet<UserId>> {
    let wishes: Vec<ReservationWish<'_>> = wished
        .iter()
        .map(|(eligibility, assessment)| ReservationWish {
            user_id: &eligibility.user.id,
            period: eligibility.period,
            cap: eligibility.allowance.cap,
            chunks: assessment.chunks.len(),
        })
        .collect();
    allowances::reserve(tx, &wishes).await
}

/// Takes so many metered chunks from a user's allowance, to send once more what was not sent. Returns the beginning of the period; `None`: there is no
/// room, or no user. The caller holds the lock of the address.
pub(crate) async fn reserve_for(
    tx: &mut Transaction,
    settings: &Settings,
    user_id: &UserId,
    chunks: usize,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let eligibilities = eligibility::read(tx, settings, &[user_id]).await?;
    let Some(eligibility) = eligibilities.get(user_id) else { return Ok(None) };
    let wish =
        ReservationWish { user_id, period: eligibility.period, cap: eligibility.allowance.cap, chunks };
    let granted = allowances::reserve(tx, &[wish]).await?;
    Ok((!granted.is_empty()).then_some(eligibility.period.start))
}
