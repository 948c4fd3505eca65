//! The REST client. What a failed send *proves* is its main business: a message that may have been taken in must not be sent again.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use outside::words;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use crate::address::is_another_person;
use crate::errors::{ErrorClass, class_of_answer};
use crate::hosts::is_loopback;
use crate::inbound::is_sid;
use crate::listed::{Entry, UnreadableEntry, read_entry};
use crate::media;
use crate::message::{AcceptedMessage, ListedMedia, MessageContent, OutboundMessage};

/// No answer of Twilio's is larger; a larger one is not read.
const ANSWER_LIMIT_BYTES: usize = 4 << 20;

/// A page of a list is no larger: a thousand messages of 1600 characters, each written as six.
const PAGE_LIMIT_BYTES: usize = 16 << 20;

/// The entries of a page, as many as Twilio gives.
const PAGE_SIZE: usize = 1000;

/// The whole of a list is read for this many pages at most.
const PAGE_LIMIT: usize = 1000;

/// Connections that were idle for longer are not used again.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// An account, and how it is reached.
#[derive(Clone, Debug)]
pub struct Account {
    /// `AC…`
    pub account_sid: String,
    /// The account's auth token; requests carry it unless there is an API key.
    pub auth_token: SecretString,
    /// What requests carry in its place.
    pub api_key: Option<ApiKey>,
    /// `https://api.twilio.com`, or another server that speaks the same.
    pub api_base_url: Url,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// A look-up as a whole; a send has its own deadline.
    pub request_timeout: Duration,
}

/// A key of the account for its REST API, which can be withdrawn without a new auth token.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// `SK…`
    pub sid: String,
    /// What Twilio shows once, when the key is made.
    pub secret: SecretString,
}

impl Account {
    /// User and password of a request.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        match &self.api_key {
            Some(key) => (&key.sid, key.secret.expose_secret()),
            None => (&self.account_sid, self.auth_token.expose_secret()),
        }
    }
}

/// Twilio's REST API for one account. Clones share their connections.
#[derive(Clone, Debug)]
pub struct TwilioClient {
    http: reqwest::Client,
    /// For media, whose URLs come from outside: it connects to few places.
    pub(crate) media: reqwest::Client,
    pub(crate) account: Account,
}

/// Why a message was not accepted, or why nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Twilio has nothing of it: the request did not get through, or was turned away unprocessed. Safe to send again.
    #[error("not sent: {reason}")]
    NotSent {
        /// What happened.
        reason: String,
        /// When Twilio wants to be asked again.
        retry_after: Option<Duration>,
        /// [`ErrorClass::RateLimited`], [`ErrorClass::DailyCap`] or [`ErrorClass::Transient`].
        class: ErrorClass,
    },
    /// Twilio may have it. Sending again could send it twice.
    #[error("in doubt: {reason}")]
    InDoubt {
        /// What happened.
        reason: String,
    },
    /// Twilio refused it.
    #[error("refused with HTTP {status}, code {}: {message}", code.map_or_else(|| "none".to_owned(), |code| code.to_string()))]
    Refused {
        /// The answer's HTTP status.
        status: u16,
        /// Twilio's error code.
        code: Option<i32>,
        /// What Twilio says.
        message: String,
        /// What to do about it.
        class: ErrorClass,
    },
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

/// Which messages to list. Twilio compares days in GMT.
#[derive(Clone, Debug, Default)]
pub struct ListFilter<'a> {
    /// Only to this address.
    pub to: Option<&'a str>,
    /// Only from this address.
    pub from: Option<&'a str>,
    /// Only sent on or after this day.
    pub sent_since: Option<NaiveDate>,
    /// Stop after this many messages, the newest first.
    pub at_most: Option<usize>,
}

/// Where a further page of a list is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageUri(String);

/// A part of a list.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// Its entries, the newest first.
    pub entries: Vec<Entry>,
    /// Where older ones are; `None`: there are none.
    pub next: Option<PageUri>,
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

    /// Hands a message to Twilio. The request is given up at `deadline`; after it, none is made.
    pub async fn send_whatsapp_message(
        &self,
        message: &OutboundMessage<'_>,
        deadline: Instant,
    ) -> Result<AcceptedMessage, SendError> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timer of zero would still let the request begin.
        if left.is_zero() {
            let reason = "the deadline had passed before the request".to_owned();
            return Err(SendError::NotSent { reason, retry_after: None, class: ErrorClass::Transient });
        }
        let request =
            self.request(Method::POST, &self.url("Messages.json")).form(&fields(message)).timeout(left);
        let answer = match tokio::time::timeout(left, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_connect() || error.is_builder() => return Err(unreachable(&error)),
            Ok(Err(error)) => return Err(SendError::InDoubt { reason: causes(&error) }),
            Err(_) => return Err(SendError::InDoubt { reason: "no answer before the deadline".to_owned() }),
        };
        let status = answer.status();
        let retry_after = retry_after(&answer);
        let body = read(answer).await;
        if status.is_success() {
            return read_accepted(status, message, &body.unwrap_or_default());
        }
        Err(judge(status, retry_after, &body.unwrap_or_default(), &said(&message.content)))
    }

    /// Messages as Twilio has them, page after page, the newest first.
    pub async fn list_messages(&self, filter: &ListFilter<'_>) -> Result<Vec<Entry>, LookupError> {
        let mut page = self.first_page(filter).await?;
        let mut entries = page.entries;
        let mut read = HashSet::new();
        while let Some(next) = page.next.filter(|_| filter.at_most.is_none_or(|most| entries.len() < most)) {
            if read.len() == PAGE_LIMIT || !read.insert(next.clone()) {
                return Err(LookupError::Endless);
            }
            page = self.next_page(&next).await?;
            entries.append(&mut page.entries);
        }
        entries.truncate(filter.at_most.unwrap_or(usize::MAX));
        Ok(entries)
    }

    /// The first page of a list, which has the newest messages.
    pub async fn first_page(&self, filter: &ListFilter<'_>) -> Result<ListPage, LookupError> {
        let mut url = self.url("Messages.json");
        {
            let page_size = filter.at_most.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE);
            let mut query = url.query_pairs_mut();
            query.append_pair("PageSize", &page_size.to_string());
            filter.to.map(|to| query.append_pair("To", to));
            filter.from.map(|from| query.append_pair("From", from));
            filter.sent_since.map(|day| query.append_pair("DateSent>", &day.to_string()));
        }
        self.read_page(&url).await
    }

    /// The page behind another one. It holds the same messages whenever it is read.
    pub async fn next_page(&self, at: &PageUri) -> Result<ListPage, LookupError> {
        self.read_page(&self.page(&at.0)?).await
    }

    async fn read_page(&self, url: &Url) -> Result<ListPage, LookupError> {
        #[derive(Deserialize)]
        struct Body {
            messages: Vec<Box<RawValue>>,
            next_page_uri: Option<String>,
        }
        let body: Body = self.look_up_within(url, PAGE_LIMIT_BYTES).await?;
        Ok(ListPage {
            entries: body.messages.iter().map(|entry| read_entry(entry)).collect(),
            next: body.next_page_uri.filter(|uri| !uri.is_empty()).map(PageUri),
        })
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

    async fn look_up<T: DeserializeOwned>(&self, url: &Url) -> Result<T, LookupError> {
        self.look_up_within(url, ANSWER_LIMIT_BYTES).await
    }

    async fn look_up_within<T: DeserializeOwned>(
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

    fn url(&self, resource: &str) -> Url {
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
    fn page(&self, uri: &str) -> Result<Url, LookupError> {
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

fn fields<'a>(message: &'a OutboundMessage<'_>) -> Vec<(&'static str, std::borrow::Cow<'a, str>)> {
    let mut fields = vec![("To", message.to.into()), ("From", message.from.into())];
    match &message.content {
        MessageContent::Text(text) => fields.push(("Body", (*text).into())),
        MessageContent::Template { content_sid, variables } => {
            fields.push(("ContentSid", (*content_sid).into()));
            fields.push(("ContentVariables", (*variables).into()));
        }
    }
    fields.extend(message.status_callback.map(|url| ("StatusCallback", url.into())));
    fields.extend(
        message.validity_period_secs.map(|secs| ("ValidityPeriod", secs.clamp(1, 36_000).to_string().into())),
    );
    fields
}

/// A success that names no message, or another person's, says nothing of this one.
fn read_accepted(
    status: StatusCode,
    message: &OutboundMessage<'_>,
    body: &[u8],
) -> Result<AcceptedMessage, SendError> {
    let entry = serde_json::from_slice::<Box<RawValue>>(body).ok().map(|entry| read_entry(&entry));
    let (sid, word, to) = match entry {
        Some(Ok(created)) if created.is_inbound() => {
            let reason =
                format!("HTTP {status} with the SID {} of a message that a person wrote", created.sid);
            return Err(SendError::InDoubt { reason });
        }
        Some(Ok(created)) => (created.sid, created.status, created.to),
        // An id is enough, whatever is wrong with the rest.
        Some(Err(UnreadableEntry { sid: Some(sid), .. })) => (sid, String::new(), String::new()),
        _ => return Err(SendError::InDoubt { reason: format!("HTTP {status} without a readable SID") }),
    };
    if is_another_person(&to, message.to) {
        let reason = format!("HTTP {status} with the SID {sid} of a message to somebody else");
        return Err(SendError::InDoubt { reason });
    }
    Ok(AcceptedMessage { sid, status: word })
}

/// The words that a refusal may quote.
fn said(content: &MessageContent<'_>) -> Vec<String> {
    match content {
        MessageContent::Text(text) => vec![(*text).to_owned()],
        MessageContent::Template { variables, .. } => {
            let variables: HashMap<String, serde_json::Value> =
                serde_json::from_str(variables).unwrap_or_default();
            variables.into_values().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        }
    }
}

/// Nothing was written, so nothing was taken in.
fn unreachable(error: &reqwest::Error) -> SendError {
    SendError::NotSent { reason: causes(error), retry_after: None, class: ErrorClass::Transient }
}

fn judge(status: StatusCode, retry_after: Option<Duration>, body: &[u8], said: &[String]) -> SendError {
    let error = ErrorBody::read(body);
    let class = class_of_answer(status.as_u16(), error.code);
    // Twilio quotes what it refuses: a number, say.
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let message = words::of_others(&error.message.unwrap_or_default(), &said);
    let reason = format!("HTTP {status}: {message}");
    match class {
        ErrorClass::InDoubt => SendError::InDoubt { reason },
        // Turned away for now, whatever the status: the same again may pass later.
        ErrorClass::RateLimited | ErrorClass::DailyCap | ErrorClass::Transient => {
            SendError::NotSent { reason, retry_after, class }
        }
        // 429: turned away before it was processed, whatever the code.
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            SendError::NotSent { reason, retry_after, class: ErrorClass::RateLimited }
        }
        class => SendError::Refused { status: status.as_u16(), code: error.code, message, class },
    }
}

/// Twilio's error body; any of it may be missing.
#[derive(Default, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: Option<i32>,
    message: Option<String>,
}

impl ErrorBody {
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// `Retry-After` in seconds; nobody is told to wait for more than a day.
fn retry_after(answer: &Response) -> Option<Duration> {
    let secs: u64 = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs.min(86_400)))
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
