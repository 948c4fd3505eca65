//! `cloudybot keys …`: which rows hang on which secret key, and what to do when one is lost.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use queue::audit;
use serde_json::{Value, json};
use store::keys_in_use::{self, KeyUse};
use store::secret_keys::SecretKeys;

use super::output::{UNANSWERED, actor, print_lines};
use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// How many opt-outs, consents and sealed tokens hang on each secret key
    List,
    /// Do without a key that is lost for good: what has its number is hashed with the present key, the rest is missed by nobody
    GiveUp {
        /// The key's fingerprint, as the refused start names it
        fingerprint: String,
    },
}

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: KeysCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let keys = app::present_keys(config, &mut conn).await?.context("CLOUDYBOT_SECRET_KEY is not set")?;
    let answer = match command {
        KeysCommand::List => {
            let uses = keys_in_use::uses(&mut conn).await.context(UNANSWERED)?;
            with_idle_ones(&keys, uses).iter().map(|used| view(&keys, used)).collect()
        }
        KeysCommand::GiveUp { fingerprint } => {
            anyhow::ensure!(
                !keys.fingerprints().contains(&fingerprint),
                "CLOUDYBOT_SECRET_KEY holds the key {fingerprint}; it is not lost"
            );
            let left = keys_in_use::give_up(&mut conn, &keys, &fingerprint).await.context(UNANSWERED)?;
            let left = left.with_context(|| format!("no row hangs on a key {fingerprint:?}"))?;
            let target = format!("secret key {fingerprint}");
            audit::note(&mut conn, &actor(), "give up", &target, &format!("left: {left}")).await?;
            json!({ "givenUp": fingerprint, "left": view(&keys, &left) })
        }
    };
    print_lines(as_json, &answer)
}

/// The given keys in their order, those without rows too, and then the others on which rows hang.
pub(crate) fn with_idle_ones(keys: &SecretKeys, mut uses: Vec<KeyUse>) -> Vec<KeyUse> {
    let mut all = Vec::new();
    for fingerprint in keys.fingerprints() {
        let place = uses.iter().position(|used| used.fingerprint == fingerprint);
        let used = place.map(|place| uses.remove(place)).unwrap_or_default();
        all.push(KeyUse { fingerprint, ..used });
    }
    all.extend(uses.into_iter().filter(|used| !used.is_idle()));
    all
}

fn view(keys: &SecretKeys, used: &KeyUse) -> Value {
    let name = &used.fingerprint;
    let place = keys.fingerprints().iter().position(|given| given == name);
    json!({
        "key": name,
        "place": place.map(|place| place + 1),
        "optOuts": used.opt_outs,
        "consents": used.consents,
        "sealedTokens": used.tokens,
        "firstUsedAt": used.first_used_at,
        "lastUsedAt": used.last_used_at,
        "givenUp": used.given_up,
    })
}
