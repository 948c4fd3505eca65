//! `cloudybot stats …`: figures, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::message_stats::{self, MessageStats, MonthView, USUAL_MONTHS};
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
}

/// Answers what was asked; prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, command: StatsCommand, as_json: bool) -> anyhow::Result<()> {
    let StatsCommand::Messages { months } = command;
    let database = Database::open(config).await?;
    let pg = database.pool(1, Duration::from_secs(10));
    let mut conn = pg.acquire().await.context(UNANSWERED)?;
    let stats = message_stats::read(&mut conn, &config.keys.costs, months).await.context(UNANSWERED)?;
    print(as_json, &stats, || shown(&stats))
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
