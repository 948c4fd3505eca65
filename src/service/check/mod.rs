//! `cloudybot check`: what is wrong, and how to mend it. It tells what `cloudybot status` tells, and also looks at what is set up: the configuration, the
//! database's rights and its way, and what Twilio and the agent answer just now.

mod agent;
mod configuration;
mod database;
mod keys;
mod outgoing_webhooks;
mod twilio;
mod twilio_configuration;

use channel::administration::findings::{Finding, Subject, Urgency};
use channel::administration::status::Status;
use channel::conversation::agent_health;

use crate::compliance;
use crate::config::Config;

/// Looks at everything; the configuration itself is valid, or nobody would get here.
pub(crate) async fn run(config: &Config, every_allowance: bool) -> Status {
    let mut findings = vec![configuration::valid(config), configuration::webhook_address(config)];
    let ((of_database, pools), agent, mut twilio, templates, rules, outgoing) = tokio::join!(
        database::look(config, every_allowance),
        agent::ask(config),
        twilio::ask(config),
        twilio_configuration::templates(config),
        twilio_configuration::webhook_rules(config),
        outgoing_webhooks::try_out(config),
    );
    findings.extend(of_database);
    // What turns tell of the agent stands beside what it answers now.
    findings.retain(|finding| finding.subject != Subject::Agent || finding.urgency != Urgency::Fine);
    if agent.urgency == Urgency::Fine {
        // Of the agent that was asked, not of those that users have of their own.
        let asked = agent_health::name_of(&config.agent);
        findings.iter_mut().filter(|finding| finding.is_outage_of(&asked)).for_each(Finding::is_past);
    }
    twilio::weigh(&mut twilio, &findings);
    findings.extend([agent, twilio]);
    findings.extend([templates, rules, outgoing, compliance::findings(config)].into_iter().flatten());
    Status::of(findings, pools)
}

/// The configuration cannot be read, so nothing else can be looked at.
pub(crate) fn unreadable(error: &anyhow::Error) -> Status {
    let remedy = "mend the setting; config.toml documents each";
    let finding = Finding::of(Urgency::Now, Subject::Configuration, format!("{error:#}"), remedy);
    Status::of(vec![finding], Vec::new())
}

/// Whether the question could be asked at all.
pub(crate) fn is_answered(status: &Status) -> bool {
    status.findings.iter().any(|finding| finding.subject == Subject::Workers)
}
