//! Tells the operator's own service (a chat's incoming webhook, a pager) of an alert. Knows nothing of us.

use std::time::Duration;

use serde::Serialize;
use url::Url;

/// Nobody's pager needs longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An alert as it is posted: JSON, with `text` for services that show just that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertPost<'a> {
    /// One sentence for people.
    pub text: &'a str,
    /// The alert's number, the same when it is told twice.
    pub id: i64,
    /// What happened, as one word.
    pub cause: &'a str,
    /// What happened this time.
    pub detail: &'a str,
}

/// The operator's webhook.
#[derive(Clone)]
pub struct AlertWebhook {
    http: reqwest::Client,
    url: Url,
}

/// The address may hold a secret, so only its host is shown.
impl std::fmt::Debug for AlertWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlertWebhook({})", self.url.host_str().unwrap_or_default())
    }
}

/// Why an alert could not be told.
#[derive(Debug, thiserror::Error)]
pub enum AlertWebhookError {
    /// This is no address.
    #[error("it must be a URL like https://hooks.example.com/…")]
    Address,
    /// The HTTP client cannot be made, or got no answer.
    #[error("the alert webhook cannot be reached: {0}")]
    Http(#[source] reqwest::Error),
    /// It was answered with an error.
    #[error("the alert webhook answered {0}")]
    Status(u16),
}

impl AlertWebhook {
    /// A webhook at this address.
    ///
    /// # Errors
    /// [`AlertWebhookError::Address`], or [`AlertWebhookError::Http`] where TLS cannot be set up.
    pub fn new(url: &str) -> Result<Self, AlertWebhookError> {
        let url =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or(AlertWebhookError::Address)?;
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // A proxy of the environment leads nowhere on this machine.
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let http = if local { http.no_proxy() } else { http };
        Ok(Self { http: http.build().map_err(AlertWebhookError::Http)?, url })
    }

    /// Posts an alert. It may be told twice: its number says so.
    ///
    /// # Errors
    /// [`AlertWebhookError`] when nobody has taken it.
    pub async fn post(&self, alert: &AlertPost<'_>) -> Result<(), AlertWebhookError> {
        let answer = self.http.post(self.url.clone()).json(alert).send().await;
        let answer = answer.map_err(|error| AlertWebhookError::Http(error.without_url()))?;
        if !answer.status().is_success() {
            return Err(AlertWebhookError::Status(answer.status().as_u16()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn an_alert_is_posted_and_an_error_is_told() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/well", post(async move |axum::Json(body): axum::Json<Value>| drop(told.send(body))))
            .route("/ill", post(async || StatusCode::INTERNAL_SERVER_ERROR));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let alert = AlertPost { text: "Look", id: 7, cause: "double_send", detail: "chunk 3" };

        AlertWebhook::new(&format!("{base}/well")).unwrap().post(&alert).await.unwrap();
        let ill = AlertWebhook::new(&format!("{base}/ill")).unwrap().post(&alert).await;

        let expected = json!({ "text": "Look", "id": 7, "cause": "double_send", "detail": "chunk 3" });
        assert_eq!(heard.recv().await, Some(expected));
        assert!(matches!(ill, Err(AlertWebhookError::Status(500))));
    }

    #[test]
    fn no_secret_of_the_address_is_shown() {
        let webhook = AlertWebhook::new("https://hooks.example.com/secret").unwrap();

        assert_eq!(format!("{webhook:?}"), "AlertWebhook(hooks.example.com)");
        assert!(AlertWebhook::new("nowhere").is_err());
    }
}
