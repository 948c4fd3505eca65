//! Twilio on the wire, as far as WhatsApp needs it: webhooks and their signature on the way in, the REST client on the way out. Knows
//! nothing of users, deliveries or jobs.

/// An account, and how it is reached.
pub mod account;
/// Who Twilio says something is from and to.
pub mod address;
/// What WhatsApp says of a template.
pub mod approval;
/// The REST client.
pub mod client;
/// The country of an address.
pub mod country;
/// What Twilio's error codes mean.
pub mod errors;
/// Twilio's error codes in words.
pub mod explanations;
/// The webhook of an inbound message.
pub mod inbound;
/// Twilio's lists, entry by entry.
pub mod listed;
/// Fetches the files that people send.
pub mod media;
/// A message as Twilio's REST API has it.
pub mod message;
/// The list of an account's messages.
pub mod message_list;
/// Hands messages to Twilio.
pub mod sending;
/// The signature of a webhook.
pub mod signature;
/// The webhook of a status change.
pub mod status;
/// Shows a person that an answer is on its way.
pub mod typing;
/// A webhook before and after its signature is checked.
pub mod webhook;
/// Keys of the account that webhooks may be signed with.
pub mod webhook_keys;

/// How Twilio delivers the webhooks of a URL.
pub mod webhook_rules;

mod calling_codes;
mod hosts;
mod media_url;
mod public_address;
