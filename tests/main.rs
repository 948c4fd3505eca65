//! The service from outside: the real program as a process of its own, a real Postgres, and the sandbox in Twilio's place.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the clock of the machine that runs database and sandbox"
)]

mod gateway;
mod support;

mod administration;
mod agent;
mod agent_outages;
mod albums;
mod alerts;
mod attachments;
mod audit;
mod backfill;
mod backups;
mod browser;
mod callbacks;
mod cells;
mod changed_ids;
mod clocks;
mod compliance;
mod connections;
mod console;
mod console_jobs;
mod console_now;
mod console_people;
mod conversation;
mod costs;
mod crashes;
mod dashboard;
mod dashboard_page;
mod databases;
mod description;
mod endurance;
mod erasures;
mod failover;
mod firing;
mod full_disk;
mod gateways;
mod hang_ups;
mod identity;
mod inspection;
mod limits;
mod long_list;
mod markdown;
mod memory;
mod metrics;
mod moderation;
mod nul;
mod opaque_ids;
mod operators;
mod optouts;
mod outage_retries;
mod outages;
mod pages;
mod people_per_day;
mod pooler;
mod proactive;
mod quiet_hours;
mod retention;
mod retries;
mod roles;
mod rotation;
mod schedule_administration;
mod schedulers;
mod schedules;
mod sending;
mod sessions;
mod signatures;
mod status;
mod storm;
mod switched_off;
mod takeovers;
mod templates;
mod thread_deliveries;
mod time_zones;
mod turn_budget;
mod user_details;
mod user_zones;
mod webhooks;
mod withheld;
