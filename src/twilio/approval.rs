//! What WhatsApp says of a template: Twilio's Content API keeps it beside the template.

use serde::Deserialize;

use crate::client::{LookupError, TwilioClient};
use crate::hosts::product_url;

/// What WhatsApp says of a template, in small letters. Twilio's words are kept as they are: it adds new ones without notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// `marketing`, `utility` or `authentication`; empty: it has none yet.
    pub category: String,
    /// `approved`, `pending`, `rejected`, `paused`, `disabled` and the like; `unsubmitted`: WhatsApp has not been asked.
    pub status: String,
    /// Why WhatsApp refused it, in its words; empty: it did not.
    pub rejection_reason: String,
}

impl Approval {
    /// WhatsApp lets the template through.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.status == "approved"
    }
}

impl TwilioClient {
    /// What WhatsApp says of the template with this SID. `None`: the account has no such template.
    pub async fn fetch_approval(&self, content_sid: &str) -> Result<Option<Approval>, LookupError> {
        #[derive(Deserialize)]
        struct Body {
            whatsapp: Option<Whatsapp>,
        }
        #[derive(Default, Deserialize)]
        struct Whatsapp {
            category: Option<String>,
            status: Option<String>,
            rejection_reason: Option<String>,
        }
        let path = format!("/v1/Content/{content_sid}/ApprovalRequests");
        let url = product_url(&self.account.api_base_url, "content", &path);
        let body: Body = match self.look_up(&url).await {
            Err(LookupError::Refused { status: 404, .. }) => return Ok(None),
            answer => answer?,
        };
        let Whatsapp { category, status, rejection_reason } = body.whatsapp.unwrap_or_default();
        Ok(Some(Approval {
            category: category.unwrap_or_default().to_ascii_lowercase(),
            status: status.map_or_else(|| "unsubmitted".to_owned(), |status| status.to_ascii_lowercase()),
            rejection_reason: rejection_reason.unwrap_or_default(),
        }))
    }
}
