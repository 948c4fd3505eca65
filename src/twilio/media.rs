//! Fetches the files that people send with their messages.
//!
//! Twilio's Media resource wants the account's credentials and sends those who have them on to a host that keeps the file, with a URL
//! that is its own permission. So the credentials go to the API alone, each redirect is looked at before it is followed, and a file is
//! read no further than its size and time allow. What comes is what anybody chose to send: its type is a claim, its bytes are not to be
//! trusted.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode, header};
use url::Url;

use crate::account::Account;
use crate::client::{TwilioClient, causes};
use crate::hosts::is_loopback;
use crate::media_url::{MediaUrl, RedirectUrl};
use crate::public_address::{GuardedResolver, NoAllowedAddress};

/// Twilio needs one; a chain of more leads nowhere good.
const REDIRECT_LIMIT: usize = 3;

/// How far a fetch goes.
#[derive(Clone, Debug)]
pub struct MediaLimits {
    /// A larger file is refused; WhatsApp's have up to 16 MB.
    pub size_bytes: usize,
    /// All of it, retries included.
    pub timeout: Duration,
    /// The pause between two tries while the file is not to be had.
    pub retry_every: Duration,
    /// How long a file that is not there is asked for again: it can be missing for the first seconds. Faults of the server and of the
    /// connection are tried again as long.
    pub retry_for: Duration,
}

/// A file that came with a message.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaFile {
    /// What the host that keeps it says it is, in lower case and without parameters; empty if it says nothing.
    pub content_type: String,
    /// The file.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for MediaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({:?}, {} bytes)", self.content_type, self.bytes.len())
    }
}

/// Why there is no file. The reasons name hosts, but neither URLs, which can be permissions, nor credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// Never asked, or asked no further: another host, a private address, too large, a redirect to somewhere else. It will not get better.
    #[error("refused to fetch it: {0}")]
    Refused(String),
    /// Not to be had now.
    #[error("could not fetch it: {0}")]
    Failed(String),
}

/// How a try ended that brought no file.
enum FailedTry {
    /// It may go well in a moment.
    Passing(String),
    /// It is no use to try again.
    Lasting(MediaError),
}

use MediaError::{Failed, Refused};

/// The HTTP client that media are fetched with. It connects to public addresses only, or, for a stand-in on this machine, to this machine.
///
/// A proxy in the environment is used as for every other request, except to this machine: where it is the only way out, there would be
/// no media without it. It looks names up itself, so the check of addresses is then its business; what holds all the same is that only
/// Twilio's names are asked for, and that whoever answers must have their certificates.
pub(crate) fn http_client(account: &Account) -> Result<reqwest::Client, reqwest::Error> {
    let mut http = reqwest::Client::builder()
        .connect_timeout(account.connect_timeout)
        .dns_resolver(GuardedResolver::new(&account.api_base_url))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("cloudybot-whatsapp/", env!("CARGO_PKG_VERSION")));
    if is_loopback(&account.api_base_url) {
        http = http.no_proxy();
    }
    http.build()
}

impl TwilioClient {
    /// Fetches a file from the URL that an inbound message's webhook gives for it.
    pub async fn fetch_media(&self, url: &str, limits: &MediaLimits) -> Result<MediaFile, MediaError> {
        let url = MediaUrl::parse(url, &self.account).ok_or_else(|| {
            Refused("its URL is not that of a file of this account at the configured API".to_owned())
        })?;
        let late = || format!("{} did not send it within {:?}", host(url.as_url()), limits.timeout);
        let fetched = tokio::time::timeout(limits.timeout, self.fetch_patiently(&url, limits)).await;
        fetched.unwrap_or_else(|_| Err(Failed(late())))
    }

    async fn fetch_patiently(&self, url: &MediaUrl, limits: &MediaLimits) -> Result<MediaFile, MediaError> {
        let begun = Instant::now();
        loop {
            match self.fetch_once(url, limits.size_bytes).await {
                Ok(media) => return Ok(media),
                Err(FailedTry::Lasting(error)) => return Err(error),
                Err(FailedTry::Passing(reason)) => {
                    if begun.elapsed().saturating_add(limits.retry_every) > limits.retry_for {
                        return Err(Failed(reason));
                    }
                }
            }
            tokio::time::sleep(limits.retry_every).await;
        }
    }

    /// Asks the API, and whomever it sends us on to.
    async fn fetch_once(&self, url: &MediaUrl, size_bytes: usize) -> Result<MediaFile, FailedTry> {
        let asked = url.as_url();
        let (user, password) = self.account.credentials();
        let answer = self
            .media
            .get(asked.clone())
            .basic_auth(user, Some(password))
            .send()
            .await
            .map_err(|error| unanswered(asked, &error))?;
        if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(FailedTry::Lasting(Failed(format!(
                "{} refuses the credentials with HTTP {}; check the account SID and the auth token, or the API key",
                host(asked),
                answer.status()
            ))));
        }
        if !is_redirect(answer.status()) {
            return file(asked, answer, size_bytes).await;
        }
        self.follow(asked, answer, size_bytes).await
    }

    /// Goes where the answer of `from` sends us, without credentials.
    async fn follow(&self, from: &Url, answer: Response, size_bytes: usize) -> Result<MediaFile, FailedTry> {
        let (mut from, mut answer) = (from.clone(), answer);
        for _ in 0..REDIRECT_LIMIT {
            let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| {
                FailedTry::Lasting(Failed(format!("{} redirects without a location", host(&from))))
            })?;
            let redirect = RedirectUrl::parse(location, &from, &self.account).ok_or_else(|| {
                FailedTry::Lasting(Refused(format!(
                    "{} redirects to somewhere else than Twilio",
                    host(&from)
                )))
            })?;
            let asked = redirect.as_url();
            answer = self.media.get(asked.clone()).send().await.map_err(|error| unanswered(asked, &error))?;
            if !is_redirect(answer.status()) {
                return file(asked, answer, size_bytes).await;
            }
            from = asked.clone();
        }
        Err(FailedTry::Lasting(Refused(format!("more than {REDIRECT_LIMIT} redirects"))))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The file of an answer that is no redirect.
async fn file(asked: &Url, answer: Response, size_bytes: usize) -> Result<MediaFile, FailedTry> {
    let status = answer.status();
    let reason = || format!("{} answered HTTP {status}", host(asked));
    match status.as_u16() {
        200 => read(asked, answer, size_bytes).await,
        // Not there yet, or turned away for now.
        404 | 429 | 500..=599 => Err(FailedTry::Passing(reason())),
        _ => Err(FailedTry::Lasting(Failed(reason()))),
    }
}

/// Reads a file as it was sent, not decompressed: it cannot grow beyond what was counted.
async fn read(asked: &Url, mut answer: Response, size_bytes: usize) -> Result<MediaFile, FailedTry> {
    let too_large =
        || FailedTry::Lasting(Refused(format!("the file is larger than the limit of {size_bytes} bytes")));
    if answer.content_length().is_some_and(|length| length > size_bytes as u64) {
        return Err(too_large());
    }
    let content_type = content_type(&answer);
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unanswered(asked, &error))? {
        if piece.len() > size_bytes - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(MediaFile { content_type, bytes })
}

fn content_type(answer: &Response) -> String {
    let value = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

fn unanswered(asked: &Url, error: &reqwest::Error) -> FailedTry {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<NoAllowedAddress>() {
            return FailedTry::Lasting(Refused(inner.to_string()));
        }
        cause = inner.source();
    }
    FailedTry::Passing(format!("{}: {}", host(asked), causes(error)))
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_allowed_name_that_leads_to_this_machine_is_refused_without_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base_url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let mut client = TwilioClient::new(Account {
            account_sid: "AC1".to_owned(),
            auth_token: "secret".into(),
            api_key: None,
            api_base_url: base_url.parse().unwrap(),
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(2),
        })
        .unwrap();
        // As if this were Twilio's name.
        let resolver = GuardedResolver::public("localhost");
        client.media = reqwest::Client::builder().no_proxy().dns_resolver(resolver).build().unwrap();
        let limits = MediaLimits {
            size_bytes: 1,
            timeout: Duration::from_secs(5),
            retry_every: Duration::from_millis(1),
            retry_for: Duration::from_secs(5),
        };

        let url = format!("{base_url}/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1");
        let error = client.fetch_media(&url, &limits).await.unwrap_err();

        let reason = "localhost has no address that media may be fetched from".to_owned();
        assert_eq!(error, Refused(reason));
        let waiting = listener.accept();
        assert!(waiting.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }
}
