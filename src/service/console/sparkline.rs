//! Numbers over time as a small drawing. Words say the same for whoever does not see it.

/// A row of bars, the latest at the right.
pub(super) struct Sparkline {
    pub(super) title: &'static str,
    /// What it shows, in words.
    pub(super) words: String,
    /// The bars, as the path of an SVG of 180 by 36.
    pub(super) path: String,
}

const HEIGHT: i64 = 36;
const BAR: usize = 3;

impl Sparkline {
    pub(super) fn per_minute(title: &'static str, numbers: &[i64]) -> Self {
        let most = numbers.iter().copied().max().unwrap_or_default();
        let bar = |(place, number): (usize, &i64)| {
            // What is there is seen, however little it is beside the rest.
            let height = if *number == 0 { 0 } else { (number * HEIGHT / most.max(1)).max(2) };
            let (x, width) = (place * BAR, BAR - 1);
            (height > 0).then(|| format!("M{x} {HEIGHT}v-{height}h{width}v{height}z"))
        };
        let path = numbers.iter().enumerate().filter_map(bar).collect();
        let (all, last) = (numbers.iter().sum::<i64>(), numbers.last().copied().unwrap_or_default());
        let words = format!("{all} in the last hour, {most} in the busiest minute, {last} in this one");
        Self { title, words, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_drawing_and_one_is_seen() {
        let line = Sparkline::per_minute("Messages", &[0, 1, 1000]);
        assert_eq!(line.path, "M3 36v-2h2v2zM6 36v-36h2v36z");
        assert_eq!(line.words, "1001 in the last hour, 1000 in the busiest minute, 1000 in this one");
    }
}
