//! `GET …/Messages.json`: the newest first, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, OriginalUri, Query};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::message::SandboxMessage;
use crate::state::SandboxState;
use crate::{clock, resource};

const DEFAULT_PAGE_SIZE: usize = 50;
const LARGEST_PAGE: usize = 1000;

pub(crate) async fn list(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    OriginalUri(uri): OriginalUri,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    match page(&sandbox, uri.path(), &pairs) {
        Ok(page) => Json(page).into_response(),
        Err(error) => error.into_response(),
    }
}

fn page(sandbox: &SandboxState, path: &str, pairs: &[(String, String)]) -> Result<Value, ApiError> {
    let wanted = Wanted::read(pairs)?;
    let now = clock::now();
    let faults = sandbox.faults();
    let mut messages = sandbox.messages();
    if sandbox.happens(faults.filed_short) {
        messages.iter_mut().for_each(file_short);
    }
    messages.retain(|message| wanted.fits(message) && sandbox.is_listed(message, now));
    messages.reverse();
    messages.sort_by_key(|message| std::cmp::Reverse(message.created_at));
    let start = wanted.page * wanted.page_size;
    let has_next = start + wanted.page_size < messages.len();
    let of_page = messages.into_iter().skip(start).take(wanted.page_size);
    let strange = faults.list_entries.into_iter().filter(|_| wanted.page == 0);
    let shown: Vec<Value> = strange.chain(of_page.map(|message| resource::shown(sandbox, message))).collect();
    let uri = |page: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(
            pairs.iter().filter(|(name, _)| !matches!(name.as_str(), "Page" | "PageToken" | "PageSize")),
        );
        query.append_pair("PageSize", &wanted.page_size.to_string()).append_pair("Page", &page.to_string());
        if page > 0 {
            query.append_pair("PageToken", &format!("PA{page}"));
        }
        format!("{path}?{}", query.finish())
    };
    Ok(json!({
        "first_page_uri": uri(0),
        "next_page_uri": has_next.then(|| uri(wanted.page + 1)),
        "previous_page_uri": (wanted.page > 0).then(|| uri(wanted.page - 1)),
        "page": wanted.page,
        "page_size": wanted.page_size,
        "start": start,
        "end": (start + shown.len()).saturating_sub(1),
        "uri": uri(wanted.page),
        "messages": shown,
    }))
}

/// What a query asks for.
struct Wanted {
    to: Option<String>,
    from: Option<String>,
    /// Days in GMT, both included. A message that has not left has no send date, and no filter by date finds it.
    sent_from: Option<NaiveDate>,
    sent_until: Option<NaiveDate>,
    page: usize,
    page_size: usize,
}

impl Wanted {
    fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let mut wanted = Self {
            to: None,
            from: None,
            sent_from: None,
            sent_until: None,
            page: 0,
            page_size: DEFAULT_PAGE_SIZE,
        };
        for (name, value) in pairs {
            match name.as_str() {
                "To" => wanted.to = Some(value.clone()),
                "From" => wanted.from = Some(value.clone()),
                "DateSent>" => wanted.sent_from = Some(day(value)?),
                "DateSent<" => wanted.sent_until = Some(day(value)?),
                // An inequality may stand in the value, too.
                "DateSent" => match value.strip_prefix(['>', '<']) {
                    None => (wanted.sent_from, wanted.sent_until) = (Some(day(value)?), Some(day(value)?)),
                    Some(rest) => {
                        let bound = Some(day(rest.strip_prefix('=').unwrap_or(rest))?);
                        match value.starts_with('>') {
                            true => wanted.sent_from = bound,
                            false => wanted.sent_until = bound,
                        }
                    }
                },
                "Page" => wanted.page = value.parse().map_err(|_| invalid(name))?,
                "PageSize" => {
                    wanted.page_size =
                        value.parse::<usize>().map_err(|_| invalid(name))?.clamp(1, LARGEST_PAGE)
                }
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn fits(&self, message: &SandboxMessage) -> bool {
        let sent_on = message
            .sent_at
            .or(message.is_inbound().then_some(message.created_at))
            .map(|date| date.date_naive());
        self.to.as_ref().is_none_or(|to| *to == message.to)
            && self.from.as_ref().is_none_or(|from| *from == message.from)
            && self.sent_from.is_none_or(|day| sent_on.is_some_and(|sent| sent >= day))
            && self.sent_until.is_none_or(|day| sent_on.is_some_and(|sent| sent <= day))
    }
}

fn file_short(message: &mut SandboxMessage) {
    if let Some(rest) = message.to.strip_prefix("whatsapp:+521").filter(|rest| rest.len() == 10) {
        message.to = format!("whatsapp:+52{rest}");
    }
}

/// A day, or a moment of it; Twilio compares days.
fn day(text: &str) -> Result<NaiveDate, ApiError> {
    let day = text
        .parse::<NaiveDate>()
        .ok()
        .or_else(|| text.parse::<DateTime<Utc>>().ok().map(|moment| moment.date_naive()));
    day.ok_or_else(|| invalid("DateSent"))
}

fn invalid(name: &str) -> ApiError {
    ApiError::bad(20001, format!("The parameter {name} is invalid"))
}
