//! `cloudybot stats …`: figures, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::message_stats::{self, MessageStats, MonthView, USUAL_MONTHS};
use channel::administration::storage::{self, StorageStats};
use clap::Subcommand;

use super::output::{UNANSWERED, print, table};
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum StatsCommand {
    /// What was sent month by month (UTC), by what WhatsApp charges for
    Messages {
        /// The running month and those before it, so many at most
        #[arg(long, default_value_t = USUAL_MONTHS, value_parser = clap::value_parser!(i32).range(1..=120))]
        months: i32,
    },
    /// What takes how much of the database, since when, and how long it is kept
    Storage,
}

/// Answers what was asked; prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, command: StatsCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    match command {
        StatsCommand::Messages { months } => {
            let stats =
                message_stats::read(&mut conn, &config.keys.costs, months).await.context(UNANSWERED)?;
            print(as_json, &stats, || shown(&stats))
        }
        StatsCommand::Storage => {
            let keys = &config.keys;
            let stats =
                storage::read(&mut conn, &keys.retention, keys.queue.history).await.context(UNANSWERED)?;
            print(as_json, &stats, || storage_shown(&stats))
        }
    }
}

fn storage_shown(stats: &StorageStats) -> String {
    let rows = stats.tables.iter().map(|table| {
        vec![
            table.table.clone(),
            size(table.size_bytes),
            table.estimated_rows.to_string(),
            table.since.map(|since| since.format("%Y-%m-%d").to_string()).unwrap_or_default(),
            table.kept.clone().unwrap_or_default(),
        ]
    });
    let table = table(&["TABLE", "SIZE", "ROWS (ABOUT)", "SINCE", "KEPT"], rows);
    format!("{table}all: {}\n", size(stats.size_bytes))
}

/// In the unit in which it has at most three digits before the dot.
fn size(bytes: i64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "B" { format!("{size:.0} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

const HEAD: [&str; 10] = [
    "MONTH",
    "ALL",
    "REPLIES",
    "NOTICES",
    "METERED",
    "MARKETING",
    "UTILITY",
    "AUTHENTICATION",
    "OTHER TEMPLATES",
    "NOT METERED",
];

fn shown(stats: &MessageStats) -> String {
    let table = table(&HEAD, stats.months.iter().map(row));
    match stats.monthly_cap {
        Some(cap) => format!("{table}costs.monthly_cap, of what is not metered: {cap}\n"),
        None => table,
    }
}

fn row(month: &MonthView) -> Vec<String> {
    let of = &month.messages;
    let numbers = [
        month.total,
        of.replies,
        of.notices,
        of.metered,
        of.marketing_templates,
        of.utility_templates,
        of.authentication_templates,
        of.other_templates,
        month.not_metered,
    ];
    std::iter::once(month.month.clone()).chain(numbers.map(|number| number.to_string())).collect()
}
