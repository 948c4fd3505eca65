//! What the page's forms do. With the script they are sent without a reload, and what they changed comes by the stream.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::phones::{Opened, REQUESTS};
use super::switches::switched;
use super::view::{Bench, html_id};
use crate::inbound::{NOBODY, is_person, whatsapp_address};
use crate::state::SandboxState;
use crate::status;

/// The page that a form was on, and whether the script sent it.
pub(super) struct Origin {
    opened: Opened,
    is_live: bool,
}

impl Origin {
    pub(super) fn of(headers: &HeaderMap, fields: &[(String, String)]) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let opened = Opened::read(fields).unwrap_or_else(|refused| refused.opened);
        Self { opened, is_live: !accept.contains("text/html") }
    }

    /// Back to the page, where the phone's thread ends.
    pub(super) fn done(&self) -> Response {
        if self.is_live {
            return StatusCode::NO_CONTENT.into_response();
        }
        let place = match self.opened.shown.as_str() {
            REQUESTS => "behind".to_owned(),
            number => format!("end-{}", html_id(number)),
        };
        Redirect::to(&format!("{}#{place}", self.opened.url())).into_response()
    }

    /// The page again, with a reason.
    pub(super) fn refused(&self, sandbox: &SandboxState, status: StatusCode, why: String) -> Response {
        if self.is_live {
            return (status, why).into_response();
        }
        (status, pages::Page(Bench::of(sandbox, &self.opened, Some(why)))).into_response()
    }
}

/// The address of the person whose phone a form is on, or the answer to one that names nobody.
pub(super) fn person(
    sandbox: &SandboxState,
    origin: &Origin,
    fields: &[(String, String)],
) -> Result<String, Box<Response>> {
    let given = fields.iter().find(|(name, _)| name == "show").map_or("", |(_, value)| value);
    let address = whatsapp_address(given);
    if is_person(&address) {
        return Ok(address);
    }
    Err(Box::new(origin.refused(sandbox, StatusCode::BAD_REQUEST, format!("{given:?} is {NOBODY}"))))
}

/// `POST /sandbox/phone/reading`: whether this person reads what the phone shows.
pub(super) async fn reading(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = read_form(&body);
    let origin = Origin::of(&headers, &fields);
    let person = match person(&sandbox, &origin, &fields) {
        Ok(person) => person,
        Err(refused) => return *refused,
    };
    sandbox.set_reader(&person, fields.iter().any(|(name, value)| name == "reads" && value == "on"));
    origin.done()
}

/// `POST /sandbox/phone/read`: the phone showed these messages, `sid`, or all that it has.
pub(super) async fn read(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = read_form(&body);
    let origin = Origin::of(&headers, &fields);
    let person = match person(&sandbox, &origin, &fields) {
        Ok(person) => person,
        Err(refused) => return *refused,
    };
    let named: Vec<&str> =
        fields.iter().filter(|(name, _)| name == "sid").map(|(_, sid)| sid.as_str()).collect();
    let shown: Vec<String> = sandbox
        .messages()
        .into_iter()
        .filter(|message| !message.is_inbound() && message.to == person && message.status == "delivered")
        .filter(|message| named.is_empty() || named.contains(&message.sid.as_str()))
        .map(|message| message.sid)
        .collect();
    // On a task of its own: the service may answer the callbacks late, and the person does not wait for that.
    let reading = sandbox.clone();
    tokio::spawn(async move {
        let reporting = async {
            for sid in shown {
                if let Err(error) = status::read(&reading, &sid).await {
                    tracing::error!(error = %error, sid, "The sandbox cannot keep that message {sid} was read");
                }
            }
        };
        reading.stop.run_until_cancelled(reporting).await
    });
    origin.done()
}

/// `POST /sandbox/phone/faults`: the switches that are on, by name, and how often those that were off shall happen.
pub(super) async fn faults(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = read_form(&body);
    let origin = Origin::of(&headers, &fields);
    let chance = fields.iter().find(|(name, _)| name == "chance").map_or(Ok(1.0), |(_, value)| value.parse());
    let on: Vec<&str> =
        fields.iter().filter(|(_, value)| value == "on").map(|(name, _)| name.as_str()).collect();
    let faults = switched(&sandbox.faults(), &on, chance.unwrap_or(f64::NAN));
    if let Err(error) = faults.check() {
        return origin.refused(&sandbox, StatusCode::BAD_REQUEST, error.to_string());
    }
    sandbox.set_faults(faults);
    origin.done()
}

fn read_form(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).into_owned().collect()
}
