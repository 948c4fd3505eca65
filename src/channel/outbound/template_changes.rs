//! What WhatsApp says of the templates that schedules name, asked once a day. WhatsApp calls a template marketing with a day's notice, which makes it dearer
//! and stops it where marketing is not delivered, and it pauses templates that people complain of.

use queue::failure::Failure;
use store::alerts::AlertCause;
use store::ids::ScheduleName;
use store::templates::{self, NamedTemplate, TemplateStanding};
use twilio::client::LookupError;

use crate::alerts;
use crate::app::App;

/// The status of a template that the account does not have.
pub const MISSING: &str = "missing";

/// Asks about the templates that are due, and tells what has changed.
pub async fn look_after(app: &App) -> Result<(), Failure> {
    let due = templates::due(&mut *app.pg.acquire().await?).await?;
    if due.is_empty() {
        return Ok(());
    }
    let mut seen = Vec::new();
    for template in &due {
        match app.twilio.fetch_approval(&template.content_sid).await {
            Ok(approval) => seen.push((template, standing(approval))),
            // The key may not ask, or the account has no such product: tomorrow is soon enough.
            Err(error @ LookupError::Refused { status: 400..=428 | 430..=499, .. }) => {
                tracing::warn!(
                    "Twilio does not tell what WhatsApp says of template {}: {error}",
                    template.content_sid
                );
                templates::note_asked(&mut *app.pg.acquire().await?, &template.content_sid).await?;
            }
            // The next round asks again.
            Err(error) => {
                tracing::warn!(
                    "Could not ask what WhatsApp says of template {}: {error}",
                    template.content_sid
                );
                break;
            }
        }
    }
    let mut tx = app.begin().await?;
    let mut changes = Vec::new();
    for (template, now) in &seen {
        let before = templates::keep(&mut tx, &template.content_sid, now).await?;
        changes.extend(before.and_then(|before| change(template, &before, now)));
    }
    if !changes.is_empty() {
        // In one alert: a second one within the hour would take the place of the first one's words.
        alerts::raise(&mut tx, &app.settings, AlertCause::TemplateChanged, &changes.join("; ")).await?;
    }
    Ok(tx.commit().await?)
}

fn standing(approval: Option<twilio::approval::Approval>) -> TemplateStanding {
    approval.map_or_else(
        || TemplateStanding { category: String::new(), status: MISSING.to_owned() },
        |approval| TemplateStanding { category: approval.category, status: approval.status },
    )
}

/// What is different now, for a person.
fn change(template: &NamedTemplate, before: &TemplateStanding, now: &TemplateStanding) -> Option<String> {
    let parts = [("category", &before.category, &now.category), ("status", &before.status, &now.status)];
    let changed: Vec<String> = parts
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("{what} was {}, is {}", or_none(before), or_none(now)))
        .collect();
    let NamedTemplate { content_sid, schedules } = template;
    let schedules: Vec<&str> = schedules.iter().map(ScheduleName::as_str).collect();
    let schedules = schedules.join(", ");
    (!changed.is_empty())
        .then(|| format!("template {content_sid} of schedule {schedules}: {}", changed.join(", ")))
}

fn or_none(word: &str) -> &str {
    if word.is_empty() { "none" } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_is_told_with_the_schedules_names() {
        let schedules = ["a", "b"].map(|name| name.parse().unwrap()).to_vec();
        let template = NamedTemplate { content_sid: "HX1".to_owned(), schedules };
        let standing = |category: &str, status: &str| TemplateStanding {
            category: category.to_owned(),
            status: status.to_owned(),
        };
        let approved = standing("utility", "approved");

        assert_eq!(change(&template, &approved, &approved), None);
        assert_eq!(
            change(&template, &approved, &standing("marketing", "paused")).unwrap(),
            "template HX1 of schedule a, b: category was utility, is marketing, status was approved, is paused"
        );
        assert_eq!(
            change(&template, &approved, &standing("", MISSING)).unwrap(),
            "template HX1 of schedule a, b: category was utility, is none, status was approved, is missing"
        );
    }
}
