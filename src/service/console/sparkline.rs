//! Numbers over time as a small drawing. Words say the same for whoever does not see it.

/// What is counted, in the last hour and in the last day.
pub(super) struct Flow {
    pub(super) title: &'static str,
    pub(super) lines: [Sparkline; 2],
}

/// A row of bars, the latest at the right.
#[derive(Clone)]
pub(super) struct Sparkline {
    /// What it shows, in words.
    pub(super) words: String,
    /// The bars, as the path of an SVG of this width and a height of 36.
    pub(super) path: String,
    pub(super) width: usize,
}

const HEIGHT: i64 = 36;
const BAR: usize = 3;

impl Sparkline {
    pub(super) fn per_minute(numbers: &[i64]) -> Self {
        let (all, most, last) = figures(numbers);
        Self::of(numbers, format!("{all} in the last hour, {most} in the busiest minute, {last} in this one"))
    }

    /// Each number with whether it is an estimate.
    pub(super) fn per_half_hour(numbers: &[(i64, bool)]) -> Self {
        let about = if numbers.iter().any(|(_, is_estimate)| *is_estimate) { "about " } else { "" };
        let numbers: Vec<i64> = numbers.iter().map(|(number, _)| *number).collect();
        let (all, most, last) = figures(&numbers);
        Self::of(
            &numbers,
            format!("{about}{all} in the last day, {most} in the busiest half hour, {last} in this one"),
        )
    }

    fn of(numbers: &[i64], words: String) -> Self {
        let most = numbers.iter().copied().max().unwrap_or_default();
        let bar = |(place, number): (usize, &i64)| {
            // What is there is seen, however little it is beside the rest.
            let height = if *number == 0 { 0 } else { (number * HEIGHT / most.max(1)).max(2) };
            let (x, width) = (place * BAR, BAR - 1);
            (height > 0).then(|| format!("M{x} {HEIGHT}v-{height}h{width}v{height}z"))
        };
        let path = numbers.iter().enumerate().filter_map(bar).collect();
        Self { words, path, width: numbers.len() * BAR }
    }
}

/// All, the most of one bar, and the latest.
fn figures(numbers: &[i64]) -> (i64, i64, i64) {
    let most = numbers.iter().copied().max().unwrap_or_default();
    (numbers.iter().sum(), most, numbers.last().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_drawing_and_one_is_seen() {
        let line = Sparkline::per_minute(&[0, 1, 1000]);
        assert_eq!((line.path.as_str(), line.width), ("M3 36v-2h2v2zM6 36v-36h2v36z", 9));
        assert_eq!(line.words, "1001 in the last hour, 1000 in the busiest minute, 1000 in this one");
    }

    #[test]
    fn a_day_is_told_as_an_estimate_where_it_is_one() {
        let words = |is_estimate| Sparkline::per_half_hour(&[(4000, is_estimate), (1000, is_estimate)]).words;
        assert_eq!(words(false), "5000 in the last day, 4000 in the busiest half hour, 1000 in this one");
        assert!(words(true).starts_with("about 5000 in the last day"));
    }
}
