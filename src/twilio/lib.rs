//! Twilio on the wire: webhooks and their signature, the REST client.
