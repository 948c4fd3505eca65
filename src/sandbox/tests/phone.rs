//! A browser without scripts: it asks for the page, and sends a phone's form.

use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};

use crate::account::Account;

/// An answer for a browser.
pub(crate) async fn get(account: &Account, path: &str) -> Response {
    account.request(Method::GET, path).header("accept", "text/html").send().await.unwrap()
}

/// The page with the phone of the usual person.
pub(crate) async fn page(account: &Account) -> String {
    get(account, "/sandbox").await.text().await.unwrap()
}

/// A file as a browser sends it: its type, its name, and its content.
pub(crate) type File<'a> = (&'a str, &'a str, &'a str);

/// Sends a phone's form as a browser does, and goes nowhere else.
pub(crate) async fn send(account: &Account, fields: &[(&str, &str)], file: Option<File<'_>>) -> Response {
    let mut body = String::new();
    let of_phone = [("phones", "+15005550100"), ("show", "+15005550100")];
    for (name, value) in of_phone.iter().chain(fields) {
        body += &format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    // Browsers send an empty file where none was chosen.
    let (kind, name, content) = file.unwrap_or(("application/octet-stream", "", ""));
    let name = name.replace('"', "%22");
    body += &format!(
        "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: {kind}\r\n\r\n{content}\r\n--edge--\r\n"
    );
    let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let request = http.post(format!("{}/sandbox/phone/message", account.sandbox.base_url()));
    let request = request.header("content-type", "multipart/form-data; boundary=edge");
    request.header("accept", "text/html").body(body).send().await.unwrap()
}
