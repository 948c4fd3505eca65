//! `cloudybot users …`: one user, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use jobs::erase_people;
use queue::Queue;
use serde_json::{Value, json};

use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::http::product::users;

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// All that is known of a user
    Show {
        /// CloudyBot's id
        user: String,
    },
    /// Put a user on another plan
    SetPlan {
        /// CloudyBot's id
        user: String,
        /// A plan of the configuration, in any case
        plan: String,
    },
    /// Forget a user: bodies and numbers go, a keyed hash stays as the proof of an opt-out
    Erase {
        /// CloudyBot's id
        user: String,
    },
}

/// Does what was asked; prints lines, or JSON for a program.
pub(crate) async fn run(config: &Config, command: UsersCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let settings = app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
    let queue = Queue::open(pg.clone(), config.queue());
    let mut tx = queue.begin(&pg).await.context(UNANSWERED)?;
    let id = match &command {
        UsersCommand::Show { user } | UsersCommand::SetPlan { user, .. } | UsersCommand::Erase { user } => {
            user
        }
    };
    let mut user = store::users::get(&mut tx, id)
        .await
        .context(UNANSWERED)?
        .with_context(|| format!("user {id:?} is not known here"))?;
    let answer = match &command {
        UsersCommand::Show { .. } => serde_json::to_value(users::view(&mut tx, &settings, user).await?)?,
        UsersCommand::SetPlan { plan, .. } => {
            user.plan = users::plan_name(&settings, plan).map_err(|problem| anyhow::anyhow!("{problem}"))?;
            store::users::update(&mut tx, &user).await?;
            serde_json::to_value(users::view(&mut tx, &settings, user).await?)?
        }
        UsersCommand::Erase { .. } => {
            store::erasure::begin(&mut tx, &settings.secret_keys, id).await?;
            json!({ "user": id, "erased": true })
        }
    };
    tx.commit().await.context(UNANSWERED)?;
    if let UsersCommand::Erase { .. } = &command {
        // Whatever ends this program, a running service goes on with it.
        while erase_people::page_of(&pg, id).await.context(UNANSWERED)? {}
        queue.tell_others().await;
    }
    print(&if as_json { serde_json::to_string_pretty(&answer)? + "\n" } else { lines(&answer, "") })
}

const UNANSWERED: &str = "the database cannot be asked; `cloudybot check` says why";

/// A line for each value, named by its path.
pub(crate) fn lines(value: &Value, path: &str) -> String {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| lines(value, &join(name))).collect(),
        Value::Array(items) => {
            (1..).zip(items).map(|(number, item): (u32, _)| lines(item, &join(&number.to_string()))).collect()
        }
        Value::String(text) => format!("{path:<30} {text}\n"),
        Value::Null => format!("{path:<30} -\n"),
        other => format!("{path:<30} {other}\n"),
    }
}

#[expect(clippy::print_stdout, reason = "the answer is what was asked for")]
fn print(text: &str) -> anyhow::Result<()> {
    print!("{text}");
    Ok(())
}
