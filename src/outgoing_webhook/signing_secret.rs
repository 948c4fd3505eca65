//! The signature of a post, as Standard Webhooks has it: an HMAC-SHA256 over id, timestamp and body, with a dot between each two. The receiver
//! compares it, and refuses what is older than some minutes or has an id that it has seen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;

use crate::WebhookError;

/// A shorter secret could be guessed.
const LEAST_BYTES: usize = 24;

/// In front of a secret that is written in base64.
const PREFIX: &str = "whsec_";

/// What the sender and the receiver share.
#[derive(Clone, Debug)]
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// A secret as it is configured: `whsec_` and base64, or any other text as it stands. `None`: it is empty, and nothing is signed.
    ///
    /// # Errors
    /// [`WebhookError::Secret`] where it is no base64 behind the prefix, or too short.
    pub fn parse(text: &SecretString) -> Result<Option<Self>, WebhookError> {
        let text = text.expose_secret();
        if text.is_empty() {
            return Ok(None);
        }
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| WebhookError::Secret)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < LEAST_BYTES {
            return Err(WebhookError::Secret);
        }
        Ok(Some(Self(bytes.into())))
    }

    /// The header `webhook-signature` of a post.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.expose_secret())
            .expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification at standardwebhooks.com, which its libraries are tested with.
    #[test]
    fn a_signature_is_as_the_specification_has_it() {
        let secret = SigningSecret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap().unwrap();

        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);

        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_or_there_is_none() {
        let parse = |text: &str| SigningSecret::parse(&text.into());

        assert!(parse("").unwrap().is_none());
        assert!(parse("twenty-four letters at least").unwrap().is_some());
        for wrong in ["short", "whsec_c2hvcnQ=", "whsec_no base64, but long enough for one"] {
            assert!(matches!(parse(wrong), Err(WebhookError::Secret)), "{wrong}");
        }
    }
}
