//! Which requests are believed, and what is read of them.

use super::*;
use crate::signature::AuthTokens;
use crate::webhook_keys::WebhookKeys;

fn auth_tokens(tokens: &str) -> SignatureCheck {
    let auth_tokens = AuthTokens::parse(&tokens.into()).unwrap();
    SignatureCheck::Required(SigningKeys { auth_tokens, webhook_keys: WebhookKeys::default() })
}

fn skipped(content_type: &str, body: &[u8]) -> Result<VerifiedForm, WebhookError> {
    let request = UnverifiedRequest {
        urls: vec![],
        content_type: Some(content_type.into()),
        signature: None,
        signature_settings: None,
        body: body.to_vec(),
    };
    request.verify(&SignatureCheck::Skipped)
}

#[test]
fn parameters_are_kept_as_they_came() {
    let form = skipped("application/x-www-form-urlencoded", b"Body=a+%2B+b%00&N=1&N=2&Empty=").unwrap();

    assert_eq!(form.get("Body"), Some("a + b\0"));
    assert_eq!(form.filled("Empty"), None);
    assert_eq!(form.to_json(), serde_json::json!({"Body": "a + b\u{fffd}", "N": ["1", "2"], "Empty": ""}));
}

#[test]
fn a_body_that_is_no_text_is_no_form() {
    assert!(matches!(skipped("application/x-www-form-urlencoded", b"Body=%ff%fe"), Err(WebhookError::Form)));
    for content_type in ["application/json", "application/vnd.api+json; charset=utf-8"] {
        assert!(matches!(skipped(content_type, b"nonsense"), Err(WebhookError::Form)), "{content_type}");
    }
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
            signature_settings: None,
            body: self.raw_body.clone().into_bytes(),
        };
        request.verify(&auth_tokens(tokens)).is_ok()
    }
}

#[test]
fn every_vector_of_twilios_own_libraries_is_judged_as_they_judge_it() {
    #[derive(serde::Deserialize)]
    struct File {
        vectors: Vec<Vector>,
    }
    let file: File = serde_json::from_str(include_str!("../tests/signature_vectors.json")).unwrap();

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
        signature_settings: None,
        body: br#"{"a":1}"#.to_vec(),
    };

    let verdict = request.verify(&auth_tokens("0123456789abcdef0123456789abcdef"));

    assert!(matches!(verdict, Err(WebhookError::Signature(SignatureError::Mismatch))));
}

#[test]
fn during_a_rotation_either_token_may_have_signed() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../tests/signature_vectors.json")).unwrap();
    let vector =
        file["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == "token-secondary").unwrap();
    let vector: Vector = serde_json::from_value(vector.clone()).unwrap();
    let (signer, other) = (vector.alternate_token.clone().unwrap(), vector.auth_token.clone());

    assert!(vector.accepted_with(&format!("{other}, {signer}")));
    assert!(vector.accepted_with(&format!("{signer},{other}")));
    assert!(!vector.accepted_with(&other));
}

#[derive(serde::Deserialize)]
struct SharedKeyFile {
    auth_token: String,
    key_id: String,
    key_secret: String,
    vectors: Vec<SharedKeyVector>,
}

#[derive(serde::Deserialize)]
struct SharedKeyVector {
    id: String,
    url: String,
    content_type: String,
    raw_body: String,
    signature_settings: Option<String>,
    signature: String,
    valid: bool,
}

impl SharedKeyFile {
    fn read() -> Self {
        serde_json::from_str(include_str!("../tests/shared_key_vectors.json")).unwrap()
    }

    fn keys(&self, webhook_keys: &str) -> SignatureCheck {
        let auth_tokens = AuthTokens::parse(&self.auth_token.as_str().into()).unwrap();
        let webhook_keys = WebhookKeys::parse(&webhook_keys.into()).unwrap();
        SignatureCheck::Required(SigningKeys { auth_tokens, webhook_keys })
    }
}

impl SharedKeyVector {
    fn verdict(&self, check: &SignatureCheck) -> Result<VerifiedForm, WebhookError> {
        let request = UnverifiedRequest {
            urls: vec![self.url.clone()],
            content_type: Some(self.content_type.clone()),
            signature: Some(self.signature.clone()),
            signature_settings: self.signature_settings.clone(),
            body: self.raw_body.clone().into_bytes(),
        };
        request.verify(check)
    }
}

#[test]
fn shared_keys_and_hashed_bodies_are_judged_as_twilios_libraries_judge_them() {
    let file = SharedKeyFile::read();
    let keys = file.keys(&format!("another=secret,{}={}", file.key_id, file.key_secret));

    for vector in &file.vectors {
        let verdict = vector.verdict(&keys);
        assert_eq!(verdict.is_ok(), vector.valid, "{}: {verdict:?}", vector.id);
        if let Ok(form) = verdict {
            assert_eq!(form.get("From"), Some("whatsapp:+15005550100"), "{}", vector.id);
        }
    }
    assert!(file.vectors.len() > 20);
}

#[test]
fn a_refused_shared_key_is_named_with_what_is_wrong_about_it() {
    let file = SharedKeyFile::read();
    let known = format!("{}={}", file.key_id, file.key_secret);
    let vector = |id: &str| file.vectors.iter().find(|vector| vector.id == id).unwrap();
    let refused = |vector: &SharedKeyVector, keys: &str| match vector.verdict(&file.keys(keys)) {
        Err(WebhookError::Signature(error)) => error,
        other => panic!("{}: {other:?}", vector.id),
    };
    let id = file.key_id.clone();

    let good = vector("form-sha256");
    assert_eq!(refused(good, ""), SignatureError::UnknownKey(id.clone()));
    assert_eq!(refused(good, &format!("{id}=other")), SignatureError::KeyMismatch(id));
    assert_eq!(
        refused(vector("form-unknown-algorithm"), &known),
        SignatureError::UnknownAlgorithm("HMAC_SHA512".to_owned())
    );
    assert_eq!(refused(vector("json-other-body"), &known), SignatureError::BodyHash);
    let settings = |settings: &str| SharedKeyVector {
        signature_settings: Some(settings.to_owned()),
        id: settings.to_owned(),
        url: good.url.clone(),
        content_type: good.content_type.clone(),
        raw_body: good.raw_body.clone(),
        signature: good.signature.clone(),
        valid: false,
    };
    assert_eq!(refused(&settings("algorithm=HMAC_SHA256"), &known), SignatureError::NoKey);
    let long = refused(&settings(&format!("key={}", "k".repeat(500))), &known);
    assert_eq!(long, SignatureError::UnknownKey("k".repeat(80)));
    let unsigned = SharedKeyVector { signature: String::new(), ..settings("type=none") };
    assert_eq!(refused(&unsigned, &known), SignatureError::UnsignedSetting);
}

#[test]
fn while_a_shared_key_changes_either_secret_may_have_signed() {
    let file = SharedKeyFile::read();
    let (id, secret) = (&file.key_id, &file.key_secret);
    let vector = file.vectors.iter().find(|vector| vector.id == "form-sha256").unwrap();

    for keys in [format!("{id}={secret},{id}=new"), format!("{id}=new,{id}={secret}")] {
        assert!(vector.verdict(&file.keys(&keys)).is_ok(), "{keys}");
    }
    assert!(vector.verdict(&file.keys(&format!("{id}=new,other={secret}"))).is_err());
}
