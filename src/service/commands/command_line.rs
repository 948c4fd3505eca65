//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::alerts::AlertsCommand;
use super::chunks::ChunksCommand;
use super::deliveries::DeliveriesCommand;
use super::jobs::JobsCommand;
use super::keys::KeysCommand;
use super::messages::MessagesCommand;
use super::stats::StatsCommand;
use super::takeovers::TakeoversCommand;
use super::turns::TurnsCommand;
use super::users::UsersCommand;
use crate::roles::Roles;
use crate::schedules::command::SchedulesCommand;

/// CloudyBot's WhatsApp channel. Without a command it runs.
#[derive(Debug, Parser)]
#[command(name = "cloudybot", version, about)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A file with keys that replace the defaults of config.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Use the built-in Twilio, whatever credentials are given
    #[arg(long, global = true)]
    pub(crate) sandbox: bool,
    /// Where to listen, instead of server.listen
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service (what it does without a command)
    Run {
        /// The roles of this process, instead of server.roles: receiver, workers, scheduler, console
        #[arg(long, value_name = "ROLE,ROLE", value_parser = Roles::parse_list)]
        only: Option<Roles>,
    },
    /// Say what needs a person first, and what helps
    ///
    /// The most urgent stands first: NOW, people are not served; SOON, a while later will do; note, nobody must act; ok. It asks the database alone.
    /// Exit code: 0, nothing needs a person; 1, something does; 2, that cannot be told, since the database is away or the configuration is wrong.
    #[command(verbatim_doc_comment)]
    Status {
        /// JSON for a program instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with configuration, database, agent and Twilio, and how to mend it
    ///
    /// It tells what `status` tells, and also looks at the configuration and the database's rights, and asks the agent and Twilio.
    /// Exit code: 0, nothing needs a person; 1, something does; 2, that cannot be told, since the database is away or the configuration is wrong.
    #[command(verbatim_doc_comment)]
    Check {
        /// Recompute every allowance from its ledger, however many there are
        #[arg(long)]
        every_allowance: bool,
        /// JSON for a program instead of lines
        #[arg(long)]
        json: bool,
    },
    /// The processes that work: where, since when, which pools they serve
    Workers {
        /// JSON for a program instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Bring the database up to date and end
    Migrate,
    /// See and mend the jobs of the queue
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
        /// JSON for a program instead of a table
        #[arg(long, global = true)]
        json: bool,
    },
    /// See, try and switch operators' cron duties
    Schedules {
        #[command(subcommand)]
        command: SchedulesCommand,
        /// JSON for a program instead of lines
        #[arg(long, global = true)]
        json: bool,
    },
    /// See what left and what did not, and send it anew
    Deliveries {
        #[command(subcommand)]
        command: DeliveriesCommand,
        /// JSON for a program instead of a table
        #[arg(long, global = true)]
        json: bool,
    },
    /// See what people wrote and what became of it
    Messages {
        #[command(subcommand)]
        command: MessagesCommand,
        /// JSON for a program instead of a table
        #[arg(long, global = true)]
        json: bool,
    },
    /// Tell what happened, from the webhook to Twilio's last word about the answer, and why somebody got nothing
    Story {
        /// A message's number or SID, a delivery's id or its SID, turn:12 or chunk:12
        of: String,
        /// JSON for a program instead of lines
        #[arg(long)]
        json: bool,
    },
    /// See the agent's runs, and have answered after all what it did not answer
    Turns {
        #[command(subcommand)]
        command: TurnsCommand,
        /// JSON for a program instead of a table
        #[arg(long, global = true)]
        json: bool,
    },
    /// See sends in doubt, and say what became of them
    Chunks {
        #[command(subcommand)]
        command: ChunksCommand,
        /// JSON for a program instead of lines
        #[arg(long, global = true)]
        json: bool,
    },
    /// See what a person must look at and what helps, and say that somebody has looked
    Alerts {
        #[command(subcommand)]
        command: AlertsCommand,
        /// JSON for a program instead of lines
        #[arg(long, global = true)]
        json: bool,
    },
    /// Answer instead of the agent in a conversation
    Takeovers {
        #[command(subcommand)]
        command: TakeoversCommand,
        /// JSON for a program instead of lines
        #[arg(long, global = true)]
        json: bool,
    },
    /// See users, change their plan, move them to another cell, forget them
    Users {
        #[command(subcommand)]
        command: UsersCommand,
        /// JSON for a program instead of lines
        #[arg(long, global = true)]
        json: bool,
    },
    /// See figures
    Stats {
        #[command(subcommand)]
        command: StatsCommand,
        /// JSON for a program instead of a table
        #[arg(long, global = true)]
        json: bool,
    },
    /// See which rows hang on which secret key, and do without one that is lost
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
        /// JSON for a program instead of lines
        #[arg(long, global = true)]
        json: bool,
    },
}
