//! A webhook before and after its signature is checked. The two are different types, so that nobody can forget the check.

use serde_json::Value;

use crate::signature::{self, SignatureError, SignatureHeaders, Signed, SigningKeys};

/// A request as it came. Nothing can be read from it.
pub struct UnverifiedRequest {
    /// The public URLs that this request may have been sent to; Twilio signed one of them.
    pub urls: Vec<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `X-Twilio-Signature` header.
    pub signature: Option<String>,
    /// The `X-Twilio-Webhooks-Signature-Settings` header.
    pub signature_settings: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// Whether signatures are checked.
#[derive(Clone, Debug)]
pub enum SignatureCheck {
    /// One of these must have signed.
    Required(SigningKeys),
    /// Anybody may send anything: for development alone. Everything but the signature is still checked.
    Skipped,
}

/// A form that Twilio has sent, or that the operator chose to believe.
#[derive(Debug)]
pub struct VerifiedForm {
    pairs: Vec<(String, String)>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Twilio did not send this.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Twilio sent it, but it is no form in UTF-8.
    #[error("the body is not a form in UTF-8")]
    Form,
}

impl UnverifiedRequest {
    /// Checks the signature, then the form.
    pub fn verify(self, check: &SignatureCheck) -> Result<VerifiedForm, WebhookError> {
        let is_json = self.content_type.as_deref().is_some_and(is_json);
        let pairs: Vec<(String, String)> =
            if is_json { Vec::new() } else { url::form_urlencoded::parse(&self.body).into_owned().collect() };
        if let SignatureCheck::Required(keys) = check {
            let signed = Signed { form: (!is_json).then_some(&pairs), body: &self.body };
            let headers = SignatureHeaders {
                signature: self.signature.as_deref(),
                settings: self.signature_settings.as_deref(),
            };
            signature::check(keys, &self.urls, &signed, headers)?;
        }
        if is_json {
            return Ok(VerifiedForm { pairs: json_pairs(&self.body)? });
        }
        // Decoding puts U+FFFD for what is no UTF-8; then the body itself has none of it.
        let replaced =
            pairs.iter().any(|(name, value)| name.contains('\u{fffd}') || value.contains('\u{fffd}'));
        if replaced && !contains_replacement(&self.body) {
            return Err(WebhookError::Form);
        }
        Ok(VerifiedForm { pairs })
    }
}

impl VerifiedForm {
    /// A form that was verified when it came, as [`Self::to_json`] kept it.
    #[must_use]
    pub fn of_kept(params: &Value) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut pairs = Vec::new();
        for (name, value) in params.as_object().into_iter().flatten() {
            match value {
                Value::Array(values) => pairs.extend(values.iter().map(|value| (name.clone(), text(value)))),
                value => pairs.push((name.clone(), text(value))),
            }
        }
        Self { pairs }
    }

    /// The value of a parameter; the first, should it repeat.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is there and not blank.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// All parameters as a JSON object, for keeping: text as it came, a list where a name repeats. JSON in Postgres cannot hold
    /// U+0000, which becomes U+FFFD.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        for (name, value) in &self.pairs {
            let value = Value::String(storable(value));
            match object.get_mut(&storable(name)) {
                None => {
                    object.insert(storable(name), value);
                }
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Value::Object(object)
    }
}

/// Text that Postgres can hold.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// JSON, or a form of it with a name of its own, like `application/vnd.api+json`.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = essence.strip_prefix("application/").unwrap_or_default();
    kind == "json" || kind.ends_with("+json")
}

fn json_pairs(body: &[u8]) -> Result<Vec<(String, String)>, WebhookError> {
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| WebhookError::Form)?;
    let text = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
    let there = object.into_iter().filter(|(_, value)| !value.is_null());
    Ok(there.map(|(name, value)| (name, text(value))).collect())
}

/// Whether somebody really wrote U+FFFD.
fn contains_replacement(body: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    lower.windows(9).any(|window| window == b"%ef%bf%bd")
        || body.windows(3).any(|window| window == "\u{fffd}".as_bytes())
}

#[cfg(test)]
mod tests;
