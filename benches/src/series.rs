//! Numbers of the same thing, measured again and again, and what is said of them: the median and
//! how far they spread. It knows nothing of what was measured.

use anyhow::Result;
use serde_json::{Value, json};

/// Measurements of one thing, in one unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    sorted: Vec<f64>,
}

impl Series {
    /// From numbers in any order.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        Self { sorted: numbers }
    }

    /// The number in the middle; NaN if there is none.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.sorted.len() / 2;
        match self.sorted.get(middle) {
            None => f64::NAN,
            Some(upper) if self.sorted.len() % 2 == 1 => *upper,
            Some(upper) => f64::midpoint(*upper, self.sorted[middle - 1]),
        }
    }

    /// Every number times a factor, to change the unit.
    pub(crate) fn times(&self, factor: f64) -> Self {
        Self::of(self.sorted.iter().map(|number| number * factor).collect())
    }

    /// Both medians added: a floor that is made of parts.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self::of(self.sorted.iter().zip(&other.sorted).map(|(a, b)| a + b).collect())
    }

    /// The smallest and the largest.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let first = self.sorted.first().copied().unwrap_or(f64::NAN);
        (first, self.sorted.last().copied().unwrap_or(f64::NAN))
    }

    /// For the machine.
    pub(crate) fn json(&self) -> Value {
        let (least, most) = self.spread();
        json!({ "median": self.median(), "least": least, "most": most, "samples": self.sorted.len() })
    }

    /// For people: the median and, in brackets, the spread.
    pub(crate) fn text(&self) -> String {
        let (least, most) = self.spread();
        if self.sorted.len() < 2 {
            return figure(self.median());
        }
        format!("{} ({}–{})", figure(self.median()), figure(least), figure(most))
    }
}

/// A number with three digits that count.
pub(crate) fn figure(number: f64) -> String {
    let digits = match number.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.digits$}")
}

/// Something that can be measured once.
pub(crate) type Subject<'a> = Box<dyn FnMut() -> Result<f64> + 'a>;

/// Measures all of them in turn, `rounds` times, so that what else the machine does meets all of
/// them alike.
pub(crate) fn interleaved(rounds: usize, subjects: &mut [Subject<'_>]) -> Result<Vec<Series>> {
    let mut numbers = vec![Vec::with_capacity(rounds); subjects.len()];
    for _ in 0..rounds {
        for (subject, numbers) in subjects.iter_mut().zip(&mut numbers) {
            numbers.push(subject()?);
        }
    }
    Ok(numbers.into_iter().map(Series::of).collect())
}
