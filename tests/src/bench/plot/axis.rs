//! The axes: a logarithmic one of times, and one of shares. Their marks are chosen, and named, by us.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Whatever is less stands at the left end: 10 us, which is less than a wake-up takes.
const LEAST_MS: f64 = 0.01;

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Axis {
    /// Milliseconds over whole decades, given by their powers of ten.
    Millis { low: i32, high: i32 },
    /// Hundredths of all runs.
    Shares,
}

impl Axis {
    /// One of times that has room for all these.
    pub(super) fn over(millis: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in millis {
            let at = value.max(LEAST_MS).log10();
            (low, high) = (low.min(at), high.max(at));
        }
        if low > high {
            return Self::Millis { low: -1, high: 1 };
        }
        let low = whole(low.floor());
        Self::Millis {
            low,
            high: whole(high.ceil()).max(low + 1),
        }
    }

    fn marks(&self) -> Vec<f64> {
        match self {
            Self::Millis { low, high } => (*low..=*high).map(|decade| 10.0_f64.powi(decade)).collect(),
            Self::Shares => vec![0.0, 25.0, 50.0, 75.0, 100.0],
        }
    }

    /// Where a value stands, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        match self {
            Self::Millis { low, high } => {
                let (low, high) = (f64::from(*low), f64::from(*high));
                (value.max(LEAST_MS).log10().clamp(low, high) - low) / (high - low)
            }
            Self::Shares => value / 100.0,
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + whole((f64::from(to - from) * self.at(*value)).round())
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // There are no finer lines between the marks.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.marks()
        }
    }

    fn range(&self) -> Range<f64> {
        let marks = self.marks();
        marks.first().copied().unwrap_or(0.0)..marks.last().copied().unwrap_or(0.0)
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        value.to_string()
    }

    fn format_ext(&self, value: &f64) -> String {
        match self {
            Self::Shares => format!("{value:.0} %"),
            Self::Millis { .. } if *value >= 1000.0 => format!("{:.0} s", value / 1000.0),
            Self::Millis { .. } if *value >= 1.0 => format!("{value:.0}"),
            Self::Millis { .. } if *value > 2.0 * LEAST_MS => format!("{value}"),
            Self::Millis { .. } => format!("\u{2264} {LEAST_MS}"),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "decades, and pixels, are few, and whole here"
)]
fn whole(number: f64) -> i32 {
    number as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_room_for_everything_in_whole_decades() {
        let over = |values: &[f64]| Axis::over(values.iter().copied());
        assert_eq!(over(&[0.2, 3.0, 950.0]), Axis::Millis { low: -1, high: 3 });
        assert_eq!(over(&[-5.0, 0.5]), Axis::Millis { low: -2, high: 0 });
        assert_eq!(over(&[10.0]), Axis::Millis { low: 1, high: 2 });
        assert_eq!(over(&[]), Axis::Millis { low: -1, high: 1 });
    }

    #[test]
    fn what_is_less_than_the_least_stands_at_the_left_end() {
        let axis = Axis::over([0.001, 100.0].into_iter());
        let pixels = [-3.0, 0.001, 0.01, 0.1, 1.0, 100.0].map(|millis| axis.map(&millis, (100, 500)));
        assert_eq!(pixels, [100, 100, 100, 200, 300, 500]);
        // Upside down, as the vertical one.
        assert_eq!(
            [0.0, 25.0, 100.0].map(|share| Axis::Shares.map(&share, (300, 100))),
            [300, 250, 100]
        );
    }

    #[test]
    fn marks_are_labelled_as_one_reads_times() {
        let axis = Axis::over([0.01, 100_000.0].into_iter());
        let labels: Vec<_> = axis.marks().iter().map(|mark| axis.format_ext(mark)).collect();
        assert_eq!(
            labels,
            ["\u{2264} 0.01", "0.1", "1", "10", "100", "1 s", "10 s", "100 s"]
        );
        assert_eq!(Axis::Shares.format_ext(&25.0), "25 %");
    }
}
