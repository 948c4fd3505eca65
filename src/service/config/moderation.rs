//! Moderation as it is configured: its mode, the operator's rules, and the server that is asked.

use agent::moderation::Moderator;
use channel::inbound::moderation::{Mode, Moderation};
use regex::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::keys::Keys;

/// What people may say, and who is asked.
pub(super) fn read(keys: &Keys, errors: &mut Vec<String>) -> Option<Moderation> {
    let given = &keys.moderation;
    let mode = match given.mode.as_str() {
        "off" => Some(Mode::Off),
        "log" => Some(Mode::Log),
        "block" => Some(Mode::Block),
        other => {
            errors.push(format!("moderation.mode is {other:?}; it must be \"off\", \"log\" or \"block\""));
            None
        }
    };
    let rules = moderation_rules(&given.rules, errors);
    let server = &given.moderator;
    let moderator = (!server.base_url.is_empty()).then(|| Moderator::new(server)).transpose();
    if let Err(error) = &moderator {
        errors.push(format!("moderation.base_url, moderation.token: {error}"));
    }
    Some(Moderation { mode: mode?, rules: rules?, moderator: moderator.ok()? })
}

fn moderation_rules(given: &[String], errors: &mut Vec<String>) -> Option<RegexSet> {
    let known = errors.len();
    for (number, rule) in given.iter().enumerate().map(|(index, rule)| (index + 1, rule)) {
        if rule.trim().is_empty() {
            errors
                .push(format!("moderation.rules, number {number}, is blank: nearly every text would fit it"));
        } else if let Err(error) = RegexBuilder::new(rule).case_insensitive(true).build() {
            // The reason is the last line; what is before shows the expression.
            let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
            errors.push(format!("moderation.rules, number {number}, cannot be used: {reason}"));
        }
    }
    if errors.len() > known {
        return None;
    }
    // Rules that are small enough one by one may be too large together.
    let rules = RegexSetBuilder::new(given).case_insensitive(true).build();
    rules.map_err(|error| errors.push(format!("moderation.rules cannot be used together: {error}"))).ok()
}
