use std::{fmt, ops::RangeInclusive};

/// A value that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// With its tables, such as `train.r`.
    pub(crate) key: String,
    /// What is wrong and what to write instead.
    pub(crate) problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.problem)
    }
}

/// What was found, in the order of the keys.
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, key: &str, problem: &str) {
        self.0.push(Problem { key: key.to_owned(), problem: problem.to_owned() });
    }

    pub(super) fn within(&mut self, key: &str, value: f64, range: RangeInclusive<f64>) {
        if !range.contains(&value) {
            self.add(key, &format!("is {value}: must be from {} to {}", range.start(), range.end()));
        }
    }

    pub(super) fn at_least(&mut self, key: &str, value: f64, min: f64) {
        if !(value >= min && value.is_finite()) {
            self.add(key, &format!("is {value}: must be {min} or more"));
        }
    }

    pub(super) fn above(&mut self, key: &str, value: f64, bound: f64) {
        if !(value > bound && value.is_finite()) {
            self.add(key, &format!("is {value}: must be above {bound}"));
        }
    }
}
