//! A Twilio that runs on this machine.
