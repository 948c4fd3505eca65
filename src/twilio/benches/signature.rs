//! What the check of a signature costs for a common form: `cargo bench -p twilio`.

use criterion::{Criterion, criterion_group, criterion_main};
use twilio::signature::{AuthTokens, SigningKeys};
use twilio::webhook::{SignatureCheck, UnverifiedRequest};
use twilio::webhook_keys::WebhookKeys;

/// A captured set of parameters of a WhatsApp text, and its signature under the token `12345`.
const URL: &str = "https://bot.example.com/webhooks/whatsapp";
const BODY: &str = "SmsMessageSid=SM5c8f0e1d2b3a49586776859403f2e1d0&NumMedia=0&ProfileName=Sandbox+Person&MessageType=text&SmsSid=SM5c8f0e1d2b3a49586776859403f2e1d0\
&WaId=15005550100&SmsStatus=received&Body=Hello%2C+what+is+on+today%3F&To=whatsapp%3A%2B14155238886&NumSegments=1&ReferralNumMedia=0\
&MessageSid=SM5c8f0e1d2b3a49586776859403f2e1d0&AccountSid=AC0123456789abcdef0123456789abcdef&From=whatsapp%3A%2B15005550100&ApiVersion=2010-04-01";

fn request(signature: &str) -> UnverifiedRequest {
    UnverifiedRequest {
        urls: vec![URL.to_owned()],
        content_type: Some("application/x-www-form-urlencoded".to_owned()),
        signature: Some(signature.to_owned()),
        signature_settings: None,
        body: BODY.as_bytes().to_vec(),
    }
}

fn signature(c: &mut Criterion) {
    let auth_tokens = AuthTokens::parse(&"12345".into()).expect("there is one");
    let check = SignatureCheck::Required(SigningKeys { auth_tokens, webhook_keys: WebhookKeys::default() });
    // A wrong one is compared to the end, too: it costs the same.
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let refused = request(wrong).verify(&check).is_err();
    assert!(refused, "the signature is looked at");
    c.bench_function("verify a form of 15 parameters", |b| {
        b.iter_batched(
            || request(wrong),
            |request| request.verify(&check).is_err(),
            criterion::BatchSize::SmallInput,
        );
    });
    c.bench_function("read it without a check", |b| {
        b.iter_batched(
            || request(wrong),
            |request| request.verify(&SignatureCheck::Skipped).is_ok(),
            criterion::BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, signature);
criterion_main!(benches);
