//! What WhatsApp's terms ask of a deployment and its configuration leaves open: told at the start and by `cloudybot check`, and never a reason to refuse.

use channel::administration::findings::{Finding, Subject, Urgency};
use channel::compliance::AiProvider;

use crate::config::{Config, Environment};

/// What production should still decide.
pub(crate) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.environment == Environment::Development {
        return findings;
    }
    let note = |text: &str, remedy: &str| Finding::of(Urgency::Note, Subject::Compliance, text, remedy);
    if config.keys.compliance.ai_provider == AiProvider::Unset {
        findings.push(note(
            "compliance.ai_provider is \"unset\": WhatsApp's terms forbid general-purpose assistants outside the countries that Meta lists, and Meta \
             locks accounts for it",
            "say \"own_customers\" or \"listed_countries\" (src/HANDBOOK.md)",
        ));
    }
    if !config.keys.human.is_on() {
        findings.push(note(
            "human.text is empty, so nothing leads people from the assistant to a person: WhatsApp's Business Messaging Policy asks for a prompt, clear \
             and direct way to one",
            "say in human.text and human.contact where (src/HANDBOOK.md)",
        ));
    }
    findings
}
