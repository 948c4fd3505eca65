//! What of one process is watched.

use std::fmt;
use std::sync::Arc;

use channel::counters::COUNTERS;
use queue::attempt_counts::AttemptCounts;
use queue::attempt_end::AttemptEnd;
use queue::connections::Connections;
use queue::counts::Durations;
use queue::workers::Pulse;

use super::page::{Labels, Page};
use super::webhooks::WEBHOOKS;
use crate::own_clock::LastLead;
use crate::roles::Roles;

/// What is looked at when metrics are asked for.
pub(crate) struct ProcessParts {
    pub(crate) roles: Roles,
    /// The pools of connections that this process has, by name.
    pub(crate) connections: Vec<(&'static str, Connections)>,
    /// Of the workers, where this process has some.
    pub(crate) workers: Option<(Pulse, Arc<AttemptCounts>)>,
    /// How late schedules were fired, where this process fires them.
    pub(crate) lateness: Option<Arc<Durations>>,
    pub(crate) clock_lead: LastLead,
}

impl ProcessParts {
    pub(super) fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let (version, roles) = (env!("CARGO_PKG_VERSION"), self.roles.to_string());
        page.gauges(
            ("process", "1, with the version and the roles of this process"),
            [(vec![("version", version), ("roles", roles.as_str())], 1.0)],
        )?;
        WEBHOOKS.write(page)?;
        self.write_workers(page)?;
        write_channel(page)?;
        page.durations(
            ("schedule_lateness_seconds", "How long after it fell due a slot of a schedule was fired"),
            self.lateness.iter().map(|lateness| (vec![], lateness.read())),
        )?;
        self.write_connections(page)?;
        page.gauges(
            ("clock_lead_seconds", "How far this machine's clock is ahead of the database's"),
            self.clock_lead.seconds().map(|seconds| (vec![], seconds)),
        )
    }

    fn write_workers(&self, page: &mut Page<'_>) -> fmt::Result {
        let kinds = self.workers.as_ref().map(|(_, counts)| counts.read()).unwrap_or_default();
        let of = |kind: &'static str, outcome: &'static str| vec![("kind", kind), ("outcome", outcome)];
        let attempts = kinds.iter().flat_map(|kind| {
            let others = kind.others.iter().map(|(end, number)| (of(kind.kind, end.as_str()), *number));
            [(of(kind.kind, "done"), kind.done)].into_iter().chain(others)
        });
        page.counters(
            (
                "attempts",
                "Attempts of jobs by how they ended; those that a crash cut short are counted nowhere",
            ),
            attempts,
        )?;
        let ended = kinds.iter().flat_map(|kind| {
            let is_end = |end: &AttemptEnd| matches!(end, AttemptEnd::Dead | AttemptEnd::Cancelled);
            let ends = kind.others.iter().filter(move |(end, _)| is_end(end));
            [(of(kind.kind, "done"), kind.done)]
                .into_iter()
                .chain(ends.map(|(end, number)| (of(kind.kind, end.as_str()), *number)))
        });
        page.counters(("jobs", "Jobs that have ended, by kind"), ended)?;
        page.durations(
            ("attempt_seconds", "How long attempts of jobs took"),
            kinds.iter().map(|kind| (vec![("kind", kind.kind)], kind.took.clone())),
        )?;
        let pulse = self.workers.as_ref().map(|(pulse, _)| pulse);
        page.gauges(
            ("lease_held", "1 while this process may work, 0 while it has lost its lease"),
            pulse.map(|pulse| (vec![], f64::from(u8::from(pulse.has_lease())))),
        )?;
        page.gauges(
            ("lease_age_seconds", "How long ago the lease was renewed"),
            pulse.map(|pulse| (vec![], pulse.silent_for().as_secs_f64())),
        )
    }

    fn write_connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let pools: Vec<_> =
            self.connections.iter().map(|(pool, connections)| (*pool, connections.usage())).collect();
        let rows = |value: fn(queue::connections::Usage) -> u32| {
            let row = move |(pool, usage): &(&'static str, queue::connections::Usage)| {
                let labels: Labels<'static> = vec![("pool", *pool)];
                (labels, f64::from(value(*usage)))
            };
            pools.iter().map(row).collect::<Vec<_>>()
        };
        page.gauges(
            ("connections_used", "Connections to the database that somebody works with"),
            rows(|usage| usage.used),
        )?;
        page.gauges(
            ("connections_open", "Connections to the database that are open"),
            rows(|usage| usage.open),
        )?;
        page.gauges(
            ("connections_allowed", "Connections to the database that may be opened"),
            rows(|usage| usage.allowed),
        )
    }
}

/// What the channel counts.
fn write_channel(page: &mut Page<'_>) -> fmt::Result {
    let sends = COUNTERS.sends().map(|(class, result, number)| {
        (vec![("class", class.as_str()), ("outcome", result.as_str())], number)
    });
    page.counters(("sends", "Requests to send a message by what Twilio said"), sends)?;
    page.durations(
        ("send_seconds", "How long Twilio took to answer"),
        [(vec![], COUNTERS.send_took.read())],
    )?;
    let blocks = COUNTERS.blocks().map(|(obstacle, number)| (vec![("reason", obstacle.as_str())], number));
    page.counters(("blocks", "Messages that were not sent, by what stood in the way"), blocks)?;
    let asked = COUNTERS.asked().map(|(result, number)| (vec![("outcome", result.as_str())], number));
    page.counters(("agent_calls", "Questions to the agent by what came of them"), asked)?;
    page.durations(("agent_seconds", "How long the agent took"), [(vec![], COUNTERS.ask_took.read())])
}
