//! A webhook before and after its signature is checked. The two are different types, so that nobody can forget the check.

use serde_json::Value;

use crate::signature::{self, AuthTokens, SignatureError, Signed};

/// A request as it came. Nothing can be read from it.
pub struct UnverifiedRequest {
    /// The public URLs that this request may have been sent to; Twilio signed one of them.
    pub urls: Vec<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `X-Twilio-Signature` header.
    pub signature: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// Whether signatures are checked.
#[derive(Clone, Debug)]
pub enum SignatureCheck {
    /// One of these tokens must have signed.
    Required(AuthTokens),
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
        if let SignatureCheck::Required(tokens) = check {
            let signed = if is_json { Signed::Body(&self.body) } else { Signed::Form(&pairs) };
            signature::check(tokens, &self.urls, &signed, self.signature.as_deref())?;
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

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn json_pairs(body: &[u8]) -> Result<Vec<(String, String)>, WebhookError> {
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| WebhookError::Form)?;
    let text = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
    Ok(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Whether somebody really wrote U+FFFD.
fn contains_replacement(body: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    lower.windows(9).any(|window| window == b"%ef%bf%bd")
        || body.windows(3).any(|window| window == "\u{fffd}".as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(content_type: &str, body: &[u8]) -> Result<VerifiedForm, WebhookError> {
        let request = UnverifiedRequest {
            urls: vec![],
            content_type: Some(content_type.into()),
            signature: None,
            body: body.to_vec(),
        };
        request.verify(&SignatureCheck::Skipped)
    }

    #[test]
    fn parameters_are_kept_as_they_came() {
        let form = skipped("application/x-www-form-urlencoded", b"Body=a+%2B+b%00&N=1&N=2&Empty=").unwrap();

        assert_eq!(form.get("Body"), Some("a + b\0"));
        assert_eq!(form.filled("Empty"), None);
        assert_eq!(
            form.to_json(),
            serde_json::json!({"Body": "a + b\u{fffd}", "N": ["1", "2"], "Empty": ""})
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_no_form() {
        assert!(matches!(
            skipped("application/x-www-form-urlencoded", b"Body=%ff%fe"),
            Err(WebhookError::Form)
        ));
        assert!(matches!(skipped("application/json", b"nonsense"), Err(WebhookError::Form)));
        assert!(skipped("application/x-www-form-urlencoded", "Body=\u{fffd}".as_bytes()).is_ok());
    }

    /// A vector as Twilio's own libraries made it; see the file's head.
    #[derive(serde::Deserialize)]
    struct Vector {
        id: String,
        group: String,
        url: String,
        raw_body: String,
        auth_token: String,
        alternate_token: Option<String>,
        signature: String,
        valid: Option<bool>,
    }

    impl Vector {
        fn accepted_with(&self, tokens: &str) -> bool {
            let content_type = if self.group.ends_with("json") {
                "application/json"
            } else {
                "application/x-www-form-urlencoded; charset=UTF-8"
            };
            let request = UnverifiedRequest {
                urls: vec![self.url.clone()],
                content_type: Some(content_type.to_owned()),
                signature: Some(self.signature.clone()).filter(|signature| !signature.is_empty()),
                body: self.raw_body.clone().into_bytes(),
            };
            request.verify(&SignatureCheck::Required(AuthTokens::parse(&tokens.into()).unwrap())).is_ok()
        }
    }

    #[test]
    fn every_vector_of_twilios_own_libraries_is_judged_as_they_judge_it() {
        #[derive(serde::Deserialize)]
        struct File {
            vectors: Vec<Vector>,
        }
        let file: File = serde_json::from_str(include_str!("tests/signature_vectors.json")).unwrap();

        let wrong: Vec<&str> = file
            .vectors
            .iter()
            .filter(|vector| vector.accepted_with(&vector.auth_token) != vector.valid.unwrap())
            .map(|vector| vector.id.as_str())
            .collect();

        assert_eq!(file.vectors.len(), 51);
        assert_eq!(wrong, Vec::<&str>::new());
    }

    #[test]
    fn the_signature_of_one_url_does_not_lend_another_its_body_hash() {
        let (bare, hashed) = (
            "https://bot.example.com/webhooks/whatsapp",
            "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
        );
        let request = UnverifiedRequest {
            urls: vec![bare.to_owned(), format!("{bare}?bodySHA256={hashed}")],
            content_type: Some("application/json".to_owned()),
            // Made for an empty form at the bare URL, the vector `no-params`.
            signature: Some("1Zc15HR6KRNL4L3SqjOHadgoIbg=".to_owned()),
            body: br#"{"a":1}"#.to_vec(),
        };
        let tokens = AuthTokens::parse(&"0123456789abcdef0123456789abcdef".into()).unwrap();

        let verdict = request.verify(&SignatureCheck::Required(tokens));

        assert!(matches!(verdict, Err(WebhookError::Signature(SignatureError::Mismatch))));
    }

    #[test]
    fn during_a_rotation_either_token_may_have_signed() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("tests/signature_vectors.json")).unwrap();
        let vector = file["vectors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|vector| vector["id"] == "token-secondary")
            .unwrap();
        let vector: Vector = serde_json::from_value(vector.clone()).unwrap();
        let (signer, other) = (vector.alternate_token.clone().unwrap(), vector.auth_token.clone());

        assert!(vector.accepted_with(&format!("{other}, {signer}")));
        assert!(vector.accepted_with(&format!("{signer},{other}")));
        assert!(!vector.accepted_with(&other));
    }
}
