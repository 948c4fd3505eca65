//! The client against a gateway that runs on this machine and misbehaves in every way that gateways are known to.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests do")]

mod browser;
mod checks;
mod dialects;
mod errors;
mod gateway;
mod memory;
mod moderation;
mod refusals;
mod requests;
mod servers;
mod session;
mod sessions;
mod streams;
