//! How metrics are written: one of each name, with a value for each set of labels.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use queue::counts::DurationCounts;

/// Labels with their values. What they may be is bounded by enums, kinds and pools.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The page of one scrape.
pub(super) struct Page<'e>(pub(super) DescriptorEncoder<'e>);

impl Page<'_> {
    /// What only grows while the process lives. The name is shown with `_total` behind it.
    pub(super) fn counters<'a>(
        &mut self,
        (name, help): (&str, &str),
        rows: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            encode(&mut metric, &labels, |one| one.encode_counter::<NoLabelSet, u64, u64>(&value, None))?;
        }
        Ok(())
    }

    /// What goes up and down.
    pub(super) fn gauges<'a>(
        &mut self,
        (name, help): (&str, &str),
        rows: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            encode(&mut metric, &labels, |one| one.encode_gauge(&value))?;
        }
        Ok(())
    }

    /// A figure of the whole database: a sum over processes would be wrong.
    pub(super) fn whole<'a>(
        &mut self,
        (name, help): (&str, &str),
        rows: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        self.gauges((name, &format!("{help}; of the whole database, the same from every process")), rows)
    }

    /// Durations in seconds.
    pub(super) fn durations<'a>(
        &mut self,
        (name, help): (&str, &str),
        rows: impl IntoIterator<Item = (Labels<'a>, DurationCounts)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, read) in rows {
            encode(&mut metric, &labels, |one| {
                one.encode_histogram::<NoLabelSet>(read.sum_secs, read.number(), &read.classes, None)
            })?;
        }
        Ok(())
    }
}

fn encode(
    metric: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    value: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { value(metric) } else { value(&mut metric.encode_family(labels)?) }
}
