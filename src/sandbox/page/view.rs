//! The page and its parts, as the templates take them.

use askama::Template;
use chrono::{DateTime, Utc};

use super::phones::{Opened, REQUESTS, usual_name};
use super::requests::RequestRow;
use super::switches::{GROUPS, SwitchView};
use super::thread::{Bubble, phone_of, told_name, typing_left};
use crate::changes::Changes;
use crate::clock;
use crate::exchanges;
use crate::faults::Faults;
use crate::message::SandboxMessage;
use crate::state::SandboxState;

/// So many messages of each person, the newest.
const THREAD_LIMIT: usize = 200;

/// The whole page.
#[derive(Template)]
#[template(path = "bench.html")]
pub(super) struct Bench {
    style: pages::Asset,
    script: pages::Asset,
    notice: Option<String>,
    phones: Vec<Phone>,
    list: String,
    url: String,
    proposals: Vec<(String, &'static str, &'static str)>,
    requests: Vec<RequestRow>,
    request_limit: usize,
    shows_requests: bool,
    requests_url: String,
    groups: Vec<(&'static str, Vec<SwitchView>)>,
    faults_on: usize,
    /// The stream's address from here on.
    stream: String,
    business: String,
}

/// A phone.
pub(super) struct Phone {
    pub(super) number: String,
    /// The number as an HTML id.
    pub(super) id: String,
    pub(super) head: PhoneHead,
    tint: usize,
    is_shown: bool,
    show_url: String,
    remove_url: Option<String>,
    reads: bool,
    is_new: bool,
    bubbles: Vec<Bubble>,
}

/// What changes at a phone's head.
pub(super) struct PhoneHead {
    pub(super) name: String,
    pub(super) initial: String,
    /// For how long it shows that somebody types; 0: it does not.
    pub(super) typing_ms: i64,
}

/// A message alone.
#[derive(Template)]
#[template(path = "bubble.html")]
pub(super) struct BubbleView<'a> {
    pub(super) bubble: &'a Bubble,
    pub(super) list: &'a str,
}

/// A request alone.
#[derive(Template)]
#[template(path = "request.html")]
pub(super) struct RequestView {
    pub(super) request: RequestRow,
}

impl Bench {
    pub(super) fn of(sandbox: &SandboxState, opened: &Opened, notice: Option<String>) -> Self {
        let changes = sandbox.changes_since(0);
        let (faults, readers) = changes.controls.clone().unwrap_or_default();
        let now = clock::now();
        let phones = opened.numbers.iter().enumerate().map(|(place, number)| {
            let thread = Thread::of(&changes, number);
            Phone {
                number: number.clone(),
                id: html_id(number),
                head: thread.head(number, now),
                tint: place % 6,
                is_shown: opened.shown == *number,
                show_url: opened.clone().showing(Some(number)).url(),
                remove_url: (opened.numbers.len() > 1)
                    .then(|| format!("{}&{}", opened.url(), query("remove", number))),
                reads: readers.contains(&format!("whatsapp:{number}")),
                is_new: thread.is_new(),
                bubbles: thread.bubbles(sandbox, &faults),
            }
        });
        let groups: Vec<(&'static str, Vec<SwitchView>)> = GROUPS
            .iter()
            .map(|group| (group.title, group.switches.iter().map(|switch| switch.view(&faults)).collect()))
            .collect();
        let proposals = opened.proposals().into_iter();
        Self {
            style: pages::STYLE,
            script: super::SCRIPT,
            notice,
            phones: phones.collect(),
            list: opened.list(),
            url: opened.url(),
            proposals: proposals
                .map(|(number, name)| (format!("{}&{}", opened.url(), query("add", number)), number, name))
                .collect(),
            requests: changes.exchanges.iter().rev().map(RequestRow::of).collect(),
            request_limit: exchanges::LIMIT,
            shows_requests: opened.shown == REQUESTS,
            requests_url: opened.clone().showing(Some(REQUESTS)).url(),
            faults_on: groups.iter().flat_map(|(_, switches)| switches).filter(|switch| switch.is_on).count(),
            groups,
            stream: format!(
                "/sandbox/events?{}&{}",
                query("phones", &opened.list()),
                query("after", &position(sandbox, changes.version))
            ),
            business: sandbox.settings.whatsapp_number.trim_start_matches("whatsapp:").to_owned(),
        }
    }
}

/// Where a reader of the stream stands: it counts for this process alone.
pub(super) fn position(sandbox: &SandboxState, version: u64) -> String {
    format!("{}-{version}", sandbox.epoch)
}

/// A number as an HTML id.
pub(super) fn html_id(number: &str) -> String {
    format!("phone-{}", number.trim_start_matches('+'))
}

fn query(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// A person's messages among those of a change, with their places among all.
pub(super) struct Thread<'a> {
    messages: Vec<(usize, &'a SandboxMessage)>,
}

impl<'a> Thread<'a> {
    pub(super) fn of(changes: &'a Changes, number: &str) -> Self {
        let of_phone = changes.messages.iter().filter(|(_, message)| phone_of(message) == number);
        Self { messages: of_phone.map(|(place, message)| (*place, message)).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether its person has written nothing by the page, which names its people.
    fn is_new(&self) -> bool {
        !self.messages.iter().any(|(_, message)| message.parameters.contains_key("ProfileName"))
    }

    pub(super) fn head(&self, number: &str, now: DateTime<Utc>) -> PhoneHead {
        let messages = || self.messages.iter().map(|(_, message)| *message);
        let name = told_name(messages()).unwrap_or_else(|| usual_name(number).to_owned());
        PhoneHead {
            initial: name.chars().next().unwrap_or('?').to_uppercase().collect(),
            name,
            typing_ms: typing_left(messages(), now).map_or(0, |left| left.num_milliseconds()),
        }
    }

    pub(super) fn bubbles(&self, sandbox: &SandboxState, faults: &Faults) -> Vec<Bubble> {
        let newest = self.messages.len().saturating_sub(THREAD_LIMIT);
        let shown = self.messages[newest..].iter();
        shown.map(|(place, message)| Bubble::of(sandbox, faults, *place, message)).collect()
    }
}
