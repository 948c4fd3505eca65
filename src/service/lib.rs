//! CloudyBot's WhatsApp channel: the process. Configuration, the HTTP ways in, and the wiring of everything below.

/// Where the service is put together.
pub mod app;
/// What the operator decides.
pub mod config;
/// The addresses that are listened on.
pub mod listeners;
/// The program.
pub mod program;
/// The URL under which Twilio reaches us.
pub mod public_url;
/// What one process does of it.
pub mod roles;

mod check;
mod commands;
mod compliance;
mod console;
mod cookies;
mod dashboard;
mod database;
mod demo_user;
mod http;
mod log;
mod metrics;
mod own_clock;
mod process_alerts;
mod process_watch;
mod retries;
mod scheduler;
mod schedules;
mod sender;
mod service_manager;
mod serving;
mod status;
mod turn_retries;
mod wiring;
mod zone_rules;
