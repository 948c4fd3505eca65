//! The program: the command line, from its words to its exit code.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use channel::schedules::zones;
use clap::Parser as _;
use secrecy::ExposeSecret as _;
use store::processes::Role;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Service;
use crate::commands::command_line::{Command, CommandLine};
use crate::commands::{
    alerts, chunks, deliveries, jobs, keys, messages, stats, status, takeovers, turns, users, workers,
};
use crate::config::{Config, Environment};
use crate::database::Database;
use crate::listeners::Addresses;
use crate::{compliance, log, schedules, wiring};

/// Runs the command line; an error is for a person.
pub async fn run() -> anyhow::Result<ExitCode> {
    let line = CommandLine::parse();
    let mut env: Vec<(String, String)> = std::env::vars().collect();
    env.extend(line.options.listen.map(|address| ("CLOUDYBOT__SERVER__LISTEN".to_owned(), address)));
    let config = match Config::load(line.options.config.as_deref(), env, line.options.sandbox) {
        Ok(config) => config,
        Err(error) => return status::without_configuration(line.command.as_ref(), error.into()),
    };
    let _logging = log::start(&config.keys.log)?;
    // Before anything reads a definition.
    zones::choose(&config.keys.schedules.zoneinfo);
    match line.command.unwrap_or(Command::Run { only: None }) {
        Command::Run { only } => {
            serve(&Config { roles: only.unwrap_or_else(|| config.roles.clone()), ..config }).await
        }
        Command::Status { json } => return status::status(&config, json).await,
        Command::Check { every_allowance, json } => {
            return status::check(&config, every_allowance, json).await;
        }
        Command::Workers { json } => workers::run(&config, json).await,
        Command::Migrate => migrate(&config).await,
        Command::Schedules { command, json } => schedules::command::run(&config, command, json).await,
        Command::Deliveries { command, json } => deliveries::run(&config, command, json).await,
        Command::Messages { command, json } => messages::run(&config, command, json).await,
        Command::Story { of, json } => messages::tell_story(&config, &of, json).await,
        Command::Turns { command, json } => turns::run(&config, command, json).await,
        Command::Chunks { command, json } => chunks::run(&config, command, json).await,
        Command::Alerts { command, json } => alerts::run(&config, command, json).await,
        Command::Takeovers { command, json } => takeovers::run(&config, command, json).await,
        Command::Users { command, json } => users::run(&config, command, json).await,
        Command::Stats { command, json } => stats::run(&config, command, json).await,
        Command::Keys { command, json } => keys::run(&config, command, json).await,
        Command::Jobs { command, json } => jobs::run(&config, command, json).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let service = tokio::select! {
        service = Service::start(config) => service?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    greet(config, &service);
    let server = &config.keys.server;
    let drain = tokio::select! {
        _ = terminate.recv() => server.drain,
        // A person at a terminal waits for no balancer.
        _ = interrupt.recv() => Duration::ZERO,
    };
    let grace = server.shutdown_grace;
    tracing::info!("Stopping; running jobs have {grace:?} to end. A second Ctrl-C ends at once");
    unless_again(service.stop(drain), async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// Whoever asks a second time does not want to wait: the leases bring the jobs back.
async fn unless_again(
    stopping: impl Future<Output = anyhow::Result<()>>,
    again: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::select! {
        stopped = stopping => stopped,
        () = again => std::process::exit(130),
    }
}

/// What is running, where, and what to try next.
#[expect(clippy::print_stdout, reason = "this is for the person at the terminal")]
fn greet(config: &Config, service: &Service) {
    let Addresses { public, dashboard, private } = service.addresses();
    let roles = &config.roles;
    for (address, whom) in
        [(public, ""), (private, " for programs and administrators"), (dashboard, " for the dashboard")]
    {
        if let Some(address) = address {
            tracing::info!("Listening on {address}{whom}");
        }
    }
    for finding in compliance::findings(config) {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        tracing::warn!("{}; {remedy}", finding.text);
    }
    if !roles.are_all() {
        tracing::info!("This process runs as {roles}; the other roles need processes of their own");
    }
    if config.environment == Environment::Production {
        return;
    }
    println!("CloudyBot's WhatsApp channel runs (development).");
    if let Some(address) = public.filter(|_| roles.has(Role::Receiver)) {
        println!("  webhooks   http://{address}/webhooks/whatsapp    health http://{address}/healthz");
    } else if let Some(address) = private.or(public) {
        println!("  health     http://{address}/healthz    roles: {roles}");
    }
    println!(
        "  tokens     of programs: {}    of administrators: {}",
        config.api_token().expose_secret(),
        config.administrators().first().map_or("", |of| of.token.expose_secret())
    );
    if let Some(address) = private.or(public).filter(|_| roles.has(Role::Console)) {
        println!("  console    http://{address}/admin    log in with the token of administrators");
    }
    if let Some(address) = wiring::dashboard_address(config, service.addresses()) {
        let whose = if config.sandbox { "as any user" } else { "by a link of /v1/users/USER/dashboard-link" };
        println!("  dashboard  http://{address}/dashboard    {whose}");
    }
    if let Some(psql) = service.psql_line() {
        println!("  database   private; open it with: {psql}");
    }
    match service.sandbox_url() {
        Some(sandbox) => {
            println!(
                "  twilio     the built-in sandbox, {sandbox}/sandbox    agent: {}",
                config.agent.name()
            );
            println!(
                "Write to it on a phone in the browser, {sandbox}/sandbox, or as the user `demo` by curl:"
            );
            println!("  curl -d From=+15005550100 -d Body=Hello {sandbox}/sandbox/inbound");
            println!("  curl {sandbox}/sandbox/messages");
        }
        None if config.sandbox => {
            println!(
                "  twilio     the built-in sandbox of the receiver, http://{}",
                config.keys.sandbox.listen
            );
        }
        None => {
            println!(
                "  twilio     account {}    agent: {}",
                config.twilio.account.account_sid,
                config.agent.name()
            )
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is for the person at the terminal")]
async fn migrate(config: &Config) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let patience = Duration::from_secs(30);
    database.wait_for_answer(patience).await?;
    database.check_path(patience).await?;
    let pg = database.pool(1, patience);
    store::requirements::check(pg.raw()).await?;
    database.bring_up_to_date().await?;
    println!("The database is up to date.");
    Ok(())
}
