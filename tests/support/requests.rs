//! What is asked of the program: webhooks, and calls of its interface.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::Value;
use sha1::Sha1;

use super::description::Description;
use super::{ADMIN_TOKEN, API_TOKEN, AUTH_TOKEN, TestApp};

/// What Twilio would sign for this form at this URL, with a token or a shared key.
pub(crate) fn signature<M: Mac + KeyInit>(key: &str, url: &str, form: &[(&str, &str)]) -> String {
    let mut form = form.to_vec();
    form.sort_unstable();
    let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    form.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    STANDARD.encode(mac.finalize().into_bytes())
}

impl TestApp {
    /// A webhook by hand: any form, any signature.
    pub(crate) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        signature: Option<&str>,
    ) -> reqwest::Response {
        let mut request = self.http.post(format!("http://{}{path}", self.address)).form(form);
        if let Some(signature) = signature {
            request = request.header("X-Twilio-Signature", signature);
        }
        request.send().await.unwrap()
    }

    /// What Twilio would sign for this form at this path.
    pub(crate) fn sign(&self, path: &str, form: &[(&str, &str)]) -> String {
        self.sign_with(AUTH_TOKEN, path, form)
    }

    pub(crate) fn sign_with(&self, token: &str, path: &str, form: &[(&str, &str)]) -> String {
        signature::<Hmac<Sha1>>(token, &format!("http://{}{path}", self.address), form)
    }

    /// What an administrator gets: status and JSON. `Null` in `body` sends none.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.call(method, &format!("/admin/api{path}"), ADMIN_TOKEN, body).await
    }

    /// What the product gets: status and JSON. `Null` in `body` sends none.
    pub(crate) async fn product(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.call(method, &format!("/v1{path}"), API_TOKEN, body).await
    }

    /// A call of the interface with this token. An answer that is not described fails the test.
    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method.clone(), self.url(path)).bearer_auth(token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        if let Some(description) = Description::of(self).await {
            description.check(&method, path, status);
        }
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// A claim token for a user, made before on the plan pro unless it is known.
    pub(crate) async fn token(&self, user: &str, request: Value) -> String {
        if self.product(Method::GET, &format!("/users/{user}"), Value::Null).await.0 == 404 {
            self.product(Method::PUT, &format!("/users/{user}"), serde_json::json!({ "plan": "pro" })).await;
        }
        let (status, claim) =
            self.product(Method::POST, &format!("/users/{user}/whatsapp/claims"), request).await;
        assert_eq!(status, 201, "{claim}");
        claim["token"].as_str().unwrap().to_owned()
    }

    /// A user claims a phone in the real way, and reads the confirmation.
    pub(crate) async fn claim(&self, user: &str, phone: &str) {
        let token = self.token(user, Value::Null).await;
        self.inject(&[("From", phone), ("Body", &token)]).await;
        self.drained().await;
    }

    /// What the product knows of a user.
    pub(crate) async fn user(&self, user: &str) -> Value {
        self.product(Method::GET, &format!("/users/{user}"), Value::Null).await.1
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
