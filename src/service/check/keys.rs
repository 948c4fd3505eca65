//! The keys behind hashes, and the allowances behind their ledger.

use channel::administration::findings::{Finding, Subject, Urgency};
use queue::connections::Connections;
use store::allowances::Audit;
use store::keys_in_use;

use crate::app;
use crate::commands::keys::with_idle_ones;
use crate::config::Config;

/// Allowances that are recomputed unless all are asked for.
const ALLOWANCES: i64 = 10_000;

/// What hangs on which key, and which one can go.
pub(super) async fn secret_keys(config: &Config, pg: &Connections) -> Finding {
    match told(config, pg).await {
        Ok(told) => Finding::fine(Subject::SecretKeys, told),
        Err(error) => Finding::of(
            Urgency::Now,
            Subject::SecretKeys,
            format!("{error:#}"),
            "give the former keys in CLOUDYBOT_SECRET_KEY; cloudybot keys list tells what hangs on each",
        ),
    }
}

async fn told(config: &Config, pg: &Connections) -> anyhow::Result<String> {
    let mut conn = pg.acquire().await?;
    let Some(keys) = app::present_keys(config, &mut conn).await? else {
        return Ok("none yet; the database makes one for itself at the first start".to_owned());
    };
    keys_in_use::check(&mut conn, &keys).await?;
    let uses = keys_in_use::uses(&mut conn).await?;
    let told: Vec<String> = with_idle_ones(&keys, uses)
        .iter()
        .enumerate()
        .map(|(index, used)| {
            let name = &used.fingerprint;
            match index {
                index if index >= keys.fingerprints().len() => format!("key {name}, not given: {used}"),
                0 => format!("key {name}, the newest: {used}"),
                _ if used.is_idle() => format!("key {name}: nothing hangs on it, it can go"),
                _ => format!("key {name}: {used}"),
            }
        })
        .collect();
    Ok(told.join("; "))
}

/// Whether allowances are what their ledger says.
pub(super) async fn allowances(pg: &Connections, every_one: bool) -> sqlx::Result<Finding> {
    let mut conn = pg.acquire().await?;
    let at_most = if every_one { i64::MAX } else { ALLOWANCES };
    let Audit { drift, recomputed, of_about } = store::allowances::audit(&mut conn, at_most).await?;
    let of = of_about.map(|all| format!(" of about {all}, taken at random (--every-allowance: all)"));
    let looked_at = format!("{recomputed}{}", of.unwrap_or_default());
    let Some(first) = drift.first() else {
        return Ok(Finding::fine(Subject::Allowances, format!("as their ledger says: {looked_at}")));
    };
    let text = format!(
        "{} of {looked_at} differ from their ledger, user {} for one: {}",
        drift.len(),
        first.user_id,
        first.detail
    );
    Ok(Finding::of(
        Urgency::Soon,
        Subject::Allowances,
        text,
        "compare whatsapp_sends with whatsapp_send_ledger and whatsapp_send_sums",
    ))
}
