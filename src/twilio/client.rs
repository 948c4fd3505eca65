//! The REST client: its connections, its requests, and the look-ups of single messages.

use std::time::Duration;

use outside::words;
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use crate::account::Account;
use crate::hosts::is_loopback;
use crate::inbound::is_sid;
use crate::listed::{Entry, read_entry};
use crate::media;
use crate::message::ListedMedia;
use crate::message_list::PAGE_LIMIT;

/// No answer of Twilio's is larger; a larger one is not read.
const ANSWER_LIMIT_BYTES: usize = 4 << 20;

/// Connections that were idle for longer are not used again.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Twilio's REST API for one account. Clones share their connections.
#[derive(Clone, Debug)]
pub struct TwilioClient {
    http: reqwest::Client,
    /// For media, whose URLs come from outside: it connects to few places.
    pub(crate) media: reqwest::Client,
    pub(crate) account: Account,
}

/// Why a look-up failed.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// No answer, or none that could be read.
    #[error("Twilio does not answer: {0}")]
    Unanswered(String),
    /// An answer that is no success.
    #[error("Twilio answered HTTP {status}, code {}", code.map_or_else(|| "none".to_owned(), |code| code.to_string()))]
    Refused {
        /// The answer's HTTP status.
        status: u16,
        /// Twilio's error code.
        code: Option<i32>,
    },
    /// The list leads back to a page that was read before, or is longer than anybody's; what was asked for may stand further down.
    #[error("the list has no end after {PAGE_LIMIT} pages, or leads back to one of them")]
    Endless,
}

impl TwilioClient {
    /// A client; connects when it is used.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(account: Account) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(account.connect_timeout)
            // A connection that the other side closed meanwhile takes a request and never answers: a send in doubt for nothing.
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            // A redirect of an API call is nothing that Twilio does; credentials must not follow one.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cloudybot-whatsapp/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&account.api_base_url) {
            http = http.no_proxy();
        }
        Ok(Self { http: http.build()?, media: media::http_client(&account)?, account })
    }

    /// One message; `None`: Twilio does not have it.
    pub async fn fetch_message(&self, sid: &str) -> Result<Option<Entry>, LookupError> {
        match self.look_up::<Box<RawValue>>(&self.url(&format!("Messages/{sid}.json"))).await {
            Err(LookupError::Refused { status: 404, .. }) => Ok(None),
            answer => answer.map(|entry| Some(read_entry(&entry))),
        }
    }

    /// The files of a message, each with the URL that its webhook would have named. A file that Twilio does not locate is left out.
    pub async fn list_media(&self, sid: &str) -> Result<Vec<(String, ListedMedia)>, LookupError> {
        #[derive(Deserialize)]
        struct MediaPage {
            media_list: Vec<Box<RawValue>>,
        }
        let account = &self.account.account_sid;
        let page: MediaPage = self.look_up(&self.url(&format!("Messages/{sid}/Media.json"))).await?;
        let files =
            page.media_list.iter().filter_map(|file| serde_json::from_str::<ListedMedia>(file.get()).ok());
        let located = files.filter_map(|file| {
            let path = match (&file.uri, &file.sid) {
                (Some(uri), _) => uri.strip_suffix(".json").unwrap_or(uri).to_owned(),
                (None, Some(file)) if is_sid(file) => {
                    format!("/2010-04-01/Accounts/{account}/Messages/{sid}/Media/{file}")
                }
                _ => return None,
            };
            let url = self.page(&path).ok()?;
            Some((url.to_string().trim_end_matches('?').to_owned(), file))
        });
        Ok(located.collect())
    }

    pub(crate) async fn look_up<T: DeserializeOwned>(&self, url: &Url) -> Result<T, LookupError> {
        self.look_up_within(url, ANSWER_LIMIT_BYTES).await
    }

    pub(crate) async fn look_up_within<T: DeserializeOwned>(
        &self,
        url: &Url,
        limit_bytes: usize,
    ) -> Result<T, LookupError> {
        let request = self.request(Method::GET, url).timeout(self.account.request_timeout);
        let answer = request.send().await.map_err(|error| LookupError::Unanswered(causes(&error)))?;
        let status = answer.status();
        let body = read_within(answer, limit_bytes).await.map_err(LookupError::Unanswered)?;
        if !status.is_success() {
            return Err(LookupError::Refused { status: status.as_u16(), code: ErrorBody::read(&body).code });
        }
        serde_json::from_slice(&body).map_err(|error| {
            LookupError::Unanswered(words::without_literals(&format!(
                "an answer that cannot be read: {error}"
            )))
        })
    }

    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let (user, password) = self.account.credentials();
        self.http.request(method, url.clone()).basic_auth(user, Some(password))
    }

    pub(crate) fn url(&self, resource: &str) -> Url {
        let mut url = self.account.api_base_url.clone();
        let path = format!(
            "{}/2010-04-01/Accounts/{}/{resource}",
            url.path().trim_end_matches('/'),
            self.account.account_sid
        );
        url.set_path(&path);
        url.set_query(None);
        url
    }

    /// The next page of a list: a path on the same server. Credentials go nowhere else.
    pub(crate) fn page(&self, uri: &str) -> Result<Url, LookupError> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(LookupError::Unanswered("a next page that is on no path of this server".to_owned()));
        }
        let mut url = self.account.api_base_url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.set_query(Some(query));
        Ok(url)
    }
}

/// Twilio's error body; any of it may be missing.
#[derive(Default, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: Option<i32>,
    pub(crate) message: Option<String>,
}

impl ErrorBody {
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

pub(crate) async fn read(answer: Response) -> Result<Vec<u8>, String> {
    read_within(answer, ANSWER_LIMIT_BYTES).await
}

async fn read_within(mut answer: Response, limit_bytes: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| causes(&error))? {
        if body.len() + piece.len() > limit_bytes {
            return Err(format!("an answer of more than {limit_bytes} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What happened, with its causes and without the URL, which can hold an address.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut parts = vec![if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        "the exchange failed".to_owned()
    }];
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        parts.push(inner.to_string());
        cause = inner.source();
    }
    parts.dedup();
    parts.join(": ")
}
