//! The table of what was measured.

use serde::Serialize;

/// A line of the table.
#[derive(Serialize)]
pub(crate) struct Measure {
    what: String,
    value: f64,
    unit: &'static str,
    /// What the bare statements reached in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Ratio>,
}

/// What was measured by what the bare statements reached beside it.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Ratio {
    /// Of the ratios of all rounds.
    median: f64,
    least: f64,
    greatest: f64,
}

impl Measure {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { what: what.into(), value, unit, limit: None, ratio: None }
    }

    /// Measured once, beside one figure of the bare statements.
    pub(crate) fn against(self, limit: f64) -> Self {
        let ratio = self.value / limit;
        let ratio = Some(Ratio { median: ratio, least: ratio, greatest: ratio });
        Self { limit: Some(limit), ratio, ..self }
    }

    /// Measured in rounds, in each beside the bare statements. The machine's other work changes from round to round, so each round has a ratio of its own.
    pub(crate) fn in_rounds(
        what: impl Into<String>,
        unit: &'static str,
        values: Vec<f64>,
        limits: Vec<f64>,
    ) -> Self {
        let mut ratios: Vec<f64> = values.iter().zip(&limits).map(|(value, limit)| value / limit).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio =
            Ratio { median: ratios[ratios.len() / 2], least: ratios[0], greatest: ratios[ratios.len() - 1] };
        Self { limit: Some(median(limits)), ratio: Some(ratio), ..Self::new(what, unit, median(values)) }
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}", self.median)?;
        if self.least < self.greatest {
            write!(f, " ({:.2}–{:.2})", self.least, self.greatest)?;
        }
        Ok(())
    }
}

/// Prints the lines as Markdown.
pub(crate) fn print(measures: &[Measure]) {
    println!("| measure | value | bare statements | ratio |\n|---|--:|--:|--:|");
    for measure in measures {
        let digits = usize::from(measure.value < 100.0);
        let value = format!("{:.digits$} {}", measure.value, measure.unit);
        let limit =
            measure.limit.map(|limit| format!("{limit:.digits$} {}", measure.unit)).unwrap_or_default();
        let ratio = measure.ratio.map(|ratio| ratio.to_string()).unwrap_or_default();
        println!("| {} | {value} | {limit} | {ratio} |", measure.what);
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
