//! The user's page, as a browser asks for it; what a browser does with it is in `pages`.

mod content;
mod entrance;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::support::TestApp;

/// A browser in which a user has opened the page.
struct Visit<'a> {
    app: &'a TestApp,
    http: Client,
    cookie: String,
}

fn client() -> Client {
    Client::builder().redirect(Policy::none()).no_proxy().build().unwrap()
}

/// A link to a user's page.
async fn link(app: &TestApp, user: &str) -> String {
    let (status, link) =
        app.product(Method::POST, &format!("/users/{user}/dashboard-link"), Value::Null).await;
    assert_eq!(status, 201, "{link}");
    link["url"].as_str().unwrap().to_owned()
}

/// The cookies that an answer sets, with all that is said of each.
fn cookies(answer: &Response) -> Vec<String> {
    answer.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What a browser sends of them.
fn kept(cookies: &[String]) -> String {
    cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

impl<'a> Visit<'a> {
    async fn begin(app: &'a TestApp, user: &str) -> Self {
        let http = client();
        let answer = http.get(link(app, user).await).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[LOCATION]),
            (303, &"/dashboard".parse().unwrap())
        );
        Self { app, http, cookie: kept(&cookies(&answer)) }
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(self.app.url(path)).header(COOKIE, &self.cookie).send().await.unwrap()
    }

    async fn page(&self) -> String {
        let answer = self.get("/dashboard").await;
        assert_eq!(answer.status(), 200);
        let page = answer.text().await.unwrap();
        assert!(
            !page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick"),
            "{page}"
        );
        page
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.http.post(self.app.url(path)).header(COOKIE, &self.cookie).form(form).send().await.unwrap()
    }

    /// Sends a form, and shows the page that follows, with what the answer has set.
    async fn follow(&self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status(), 303, "{path}: {}", answer.text().await.unwrap());
        let cookie = format!("{}; {}", self.cookie, kept(&cookies(&answer)));
        let page = self.http.get(self.app.url("/dashboard")).header(COOKIE, cookie).send().await.unwrap();
        page.text().await.unwrap()
    }
}
