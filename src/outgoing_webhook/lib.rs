//! Posts JSON to a service that the operator names: of alerts to a chat or a pager, of what became of deliveries to the product. Knows nothing of us.

/// How posts are signed.
pub mod signing_secret;

use std::time::{Duration, SystemTime};

use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use url::Url;

use self::signing_secret::SigningSecret;

/// Nobody needs longer to take a post in.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A service that takes posts.
#[derive(Clone)]
pub struct OutgoingWebhook {
    http: reqwest::Client,
    url: Url,
    secret: Option<SigningSecret>,
}

/// The address may hold a secret, so only its host is shown.
impl std::fmt::Debug for OutgoingWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutgoingWebhook({})", self.host())
    }
}

/// Why something could not be posted, or never can be.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// This is no address.
    #[error("it must be a URL like https://hooks.example.com/…")]
    Address,
    /// This is no secret.
    #[error(
        "it must have at least 24 characters, or be whsec_ and at least 24 bytes in base64: openssl rand -base64 32"
    )]
    Secret,
    /// The post cannot be written as JSON.
    #[error("the post cannot be written: {0}")]
    Body(#[from] serde_json::Error),
    /// The HTTP client cannot be made, or got no answer.
    #[error("{host} cannot be reached: {error}")]
    Http {
        /// Who was asked.
        host: String,
        /// What went wrong.
        #[source]
        error: reqwest::Error,
    },
    /// It was answered with an error.
    #[error("{host} answered {status}")]
    Status {
        /// Who was asked.
        host: String,
        /// With what.
        status: u16,
    },
}

/// The host, with its port where that is not the usual one.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl OutgoingWebhook {
    /// A service at this address, which signs with this secret.
    ///
    /// # Errors
    /// [`WebhookError::Address`], or [`WebhookError::Http`] where TLS cannot be set up.
    pub fn new(url: &str, secret: Option<SigningSecret>) -> Result<Self, WebhookError> {
        let url =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or(WebhookError::Address)?;
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // A proxy of the environment leads nowhere on this machine.
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let http = if local { http.no_proxy() } else { http };
        let host = host_of(&url);
        let http = http.build().map_err(|error| WebhookError::Http { host, error })?;
        Ok(Self { http, url, secret })
    }

    /// Posts something under an id that is the same when it is posted again, by which the receiver knows repeats.
    ///
    /// # Errors
    /// [`WebhookError`] when nobody has taken it.
    pub async fn post(&self, id: &str, content: &impl Serialize) -> Result<(), WebhookError> {
        let body = serde_json::to_string(content)?;
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id);
        if let Some(secret) = &self.secret {
            let timestamp = timestamp();
            request = request
                .header("webhook-timestamp", timestamp)
                .header("webhook-signature", secret.sign(id, timestamp, &body));
        }
        let answer = request.body(body).send().await;
        let answer =
            answer.map_err(|error| WebhookError::Http { host: self.host(), error: error.without_url() })?;
        if !answer.status().is_success() {
            return Err(WebhookError::Status { host: self.host(), status: answer.status().as_u16() });
        }
        Ok(())
    }

    /// Asks for the address with `HEAD`, which by HTTP's rules changes nothing: it goes the way of a post, through proxies and TLS, with neither content
    /// nor signature. Returns the status of the answer, whatever it is.
    ///
    /// # Errors
    /// [`WebhookError::Http`]: nobody answers.
    pub async fn try_out(&self) -> Result<u16, WebhookError> {
        let answer = self.http.head(self.url.clone()).send().await;
        let answer =
            answer.map_err(|error| WebhookError::Http { host: self.host(), error: error.without_url() })?;
        Ok(answer.status().as_u16())
    }

    /// The host of the address, with its port where that is not the usual one; the rest may hold a secret.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.url)
    }
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the receiver compares it with its own clock; the database may be away"
)]
fn timestamp() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_post_is_signed_and_an_error_is_told() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route(
                "/well",
                post(async move |headers: HeaderMap, body: String| drop(told.send((headers, body)))),
            )
            .route("/ill", post(async || StatusCode::INTERNAL_SERVER_ERROR));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let secret = SigningSecret::parse(&"a secret of the tests, long enough".into()).unwrap().unwrap();

        let well = OutgoingWebhook::new(&format!("{base}/well"), Some(secret.clone())).unwrap();
        well.post("alert-7-1", &json!({ "id": 7 })).await.unwrap();
        let ill =
            OutgoingWebhook::new(&format!("{base}/ill"), None).unwrap().post("alert-7-1", &json!({})).await;

        let (headers, body) = heard.recv().await.unwrap();
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!((body.as_str(), header("webhook-id")), (r#"{"id":7}"#, "alert-7-1"));
        let timestamp = header("webhook-timestamp").parse().unwrap();
        assert_eq!(header("webhook-signature"), secret.sign("alert-7-1", timestamp, &body));
        assert!(matches!(ill, Err(WebhookError::Status { status: 500, .. })));
    }

    #[tokio::test]
    async fn an_address_is_tried_out_without_a_post() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(async move |method: axum::http::Method, body: String| {
            told.send((method, body)).unwrap();
            StatusCode::METHOD_NOT_ALLOWED
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let webhook = OutgoingWebhook::new(&format!("{base}/hook"), None).unwrap();

        assert_eq!(webhook.try_out().await.unwrap(), 405);
        assert_eq!(heard.recv().await.unwrap(), (axum::http::Method::HEAD, String::new()));
        server.abort();
        assert!(server.await.is_err());
        // A client of its own, since the former one may still have its connection.
        let webhook = OutgoingWebhook::new(&format!("{base}/hook"), None).unwrap();
        let error = webhook.try_out().await.unwrap_err().to_string();
        assert!(error.contains(&webhook.host()) && !error.contains("/hook"), "{error}");
    }

    #[test]
    fn no_secret_of_the_address_is_shown() {
        let webhook = OutgoingWebhook::new("https://hooks.example.com/secret", None).unwrap();

        assert_eq!(format!("{webhook:?}"), "OutgoingWebhook(hooks.example.com)");
        assert!(OutgoingWebhook::new("nowhere", None).is_err());
    }
}
