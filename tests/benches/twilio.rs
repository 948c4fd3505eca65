//! Twilio, as the program meets it: this process sends the webhooks, and the sandbox takes what is sent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::program::Program;

const ACCOUNT_SID: &str = "AC0123456789abcdef0123456789abcdef";
const AUTH_TOKEN: &str = "a-token-of-the-benchmark";
const NUMBER: &str = "whatsapp:+14155238886";

/// The program with the echo agent, which waits for nobody who might write more, and a sender as fast as can be, and these keys besides. Its files
/// are in this folder.
pub(crate) async fn program(
    database_url: &str,
    folder: &Path,
    keys: &[(&str, &str)],
) -> anyhow::Result<Program> {
    let data = folder.join("data");
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let usual = [
        ("TWILIO_ACCOUNT_SID", ACCOUNT_SID),
        ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
        ("TWILIO_WHATSAPP_NUMBER", NUMBER),
        ("CLOUDYBOT__DATABASE__DATA_DIRECTORY", data.to_str().unwrap_or_default()),
        ("CLOUDYBOT__SCHEDULES__DIRECTORY", data.to_str().unwrap_or_default()),
        ("CLOUDYBOT__SANDBOX__LISTEN", &free),
        ("CLOUDYBOT__SANDBOX__STATUS_DELAY", "1ms"),
        ("CLOUDYBOT__AGENT__DEBOUNCE", "0s"),
        ("CLOUDYBOT__AGENT__DEBOUNCE_CAP", "0s"),
        ("CLOUDYBOT__LIMITS__PER_SENDER_PER_MIN", "0"),
        ("CLOUDYBOT__TWILIO__RECIPIENT_EVERY", "1ms"),
        ("CLOUDYBOT__TWILIO__SENDER_PER_SEC", "1000"),
    ];
    Program::start(database_url, &[&usual, keys].concat()).await
}

/// Signs and sends webhooks as Twilio does.
pub(crate) struct Twilio {
    http: reqwest::Client,
    url: String,
    number: AtomicU64,
    /// How many people write, one after the other.
    people: u64,
}

impl Twilio {
    /// Its messages are numbered from `first` on.
    pub(crate) fn new(program: &Program, people: u64, first: u64) -> Self {
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(256).build();
        Self {
            http: http.unwrap_or_default(),
            url: format!("{}/webhooks/whatsapp", program.url),
            number: AtomicU64::new(first),
            people,
        }
    }

    pub(crate) async fn send(&self) -> anyhow::Result<Duration> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let sid = format!("SM{number:032x}");
        let phone = 2_000_000_001 + number % self.people;
        let (from, wa_id) = (format!("whatsapp:+1{phone}"), format!("1{phone}"));
        let form = [
            ("AccountSid", ACCOUNT_SID),
            ("ApiVersion", "2010-04-01"),
            ("Body", "Hello, what is on today?"),
            ("From", &from),
            ("MessageSid", &sid),
            ("MessageType", "text"),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
            ("ProfileName", "Somebody"),
            ("ReferralNumMedia", "0"),
            ("SmsMessageSid", &sid),
            ("SmsSid", &sid),
            ("SmsStatus", "received"),
            ("To", NUMBER),
            ("WaId", &wa_id),
        ];
        let mut mac = Hmac::<Sha1>::new_from_slice(AUTH_TOKEN.as_bytes())?;
        mac.update(self.url.as_bytes());
        form.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let begun = Instant::now();
        let request = self.http.post(&self.url).header("X-Twilio-Signature", signature).form(&form);
        let answer = request.send().await?;
        let status = answer.status();
        answer.bytes().await?;
        anyhow::ensure!(status == 200, "a webhook was answered {status}");
        Ok(begun.elapsed())
    }
}

/// In milliseconds.
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// So many webhooks a second, however long the answers take.
pub(crate) async fn at_rate(twilio: &Arc<Twilio>, per_sec: u64, seconds: u64) -> anyhow::Result<Latency> {
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / per_sec.max(1)));
    let mut sends = Vec::new();
    for _ in 0..per_sec * seconds {
        ticks.tick().await;
        let twilio = twilio.clone();
        sends.push(tokio::spawn(async move { twilio.send().await }));
    }
    let mut took = Vec::new();
    for send in sends {
        took.push(send.await??.as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    Ok(Latency { p50: at(50), p99: at(99) })
}
