//! `[costs]`: what is sent in a month without an allowance that bounds it. It is told, and never held back: people who write expect an answer.

use queue::failure::Failure;
use store::alerts::{self, AlertCause};
use store::sent_messages;

use crate::alerts::raise;
use crate::app::App;

/// Tells once a month that most of the cap was sent, and once that all of it was.
pub async fn look_after(app: &App) -> Result<(), Failure> {
    let cap = i64::from(app.settings.costs.monthly_cap);
    if cap == 0 {
        return Ok(());
    }
    let mut tx = app.begin().await?;
    let sent = sent_messages::this_month(&mut tx).await?.not_metered();
    if let Some(cause) = cause(sent, cap)
        && !alerts::was_raised_this_month(&mut tx, cause).await?
    {
        let detail = format!(
            "{sent} replies and notices were sent this month, costs.monthly_cap is {cap}; nothing is held back: `cloudybot stats messages`"
        );
        raise(&mut tx, &app.settings, cause, &detail).await?;
    }
    Ok(tx.commit().await?)
}

/// What there is to tell of so many messages.
fn cause(sent: i64, cap: i64) -> Option<AlertCause> {
    if sent >= cap {
        Some(AlertCause::MonthlyCapReached)
    } else if sent.saturating_mul(5) >= cap.saturating_mul(4) {
        Some(AlertCause::MonthlyCapNear)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_cap_and_all_of_it_are_told() {
        for (sent, told) in [
            (0, None),
            (7, None),
            (8, Some(AlertCause::MonthlyCapNear)),
            (9, Some(AlertCause::MonthlyCapNear)),
            (10, Some(AlertCause::MonthlyCapReached)),
            (100, Some(AlertCause::MonthlyCapReached)),
        ] {
            assert_eq!(cause(sent, 10), told, "{sent}");
        }
    }
}
