//! The list of an account's messages, page by page.

use std::collections::HashSet;

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::client::{LookupError, TwilioClient};
use crate::listed::{Entry, read_entry};

/// A page of a list is no larger: a thousand messages of 1600 characters, each written as six.
const PAGE_LIMIT_BYTES: usize = 16 << 20;

/// The entries of a page, as many as Twilio gives.
const PAGE_SIZE: usize = 1000;

/// The whole of a list is read for this many pages at most.
pub(crate) const PAGE_LIMIT: usize = 1000;

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
}
