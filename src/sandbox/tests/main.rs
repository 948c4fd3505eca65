//! The sandbox over HTTP, as a client of Twilio and as a service that receives webhooks meet it.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails its test")]

mod account;
mod phone;
mod receiver;

mod callbacks;
mod clients;
mod create;
mod faults;
mod inbound;
mod journal;
mod list;
mod media;
mod page;
mod resource;
mod strangers;
mod stream;
mod typing;
mod writing;
