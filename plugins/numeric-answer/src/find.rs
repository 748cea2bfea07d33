use schemars::JsonSchema;
use serde::Deserialize;

use crate::number::{Decimal, Number, numbers};

/// Where the number is that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// Behind the last `####`, as GSM8K marks answers.
    Hashes,
    /// In the last `\boxed{…}`.
    Boxed,
    /// Behind the last word "answer".
    Answer,
    /// The last number of all.
    Last,
    /// The first number of all.
    First,
}

impl Place {
    /// Whether a number in this place was marked as the answer.
    pub(crate) fn marks(self) -> bool {
        matches!(self, Self::Hashes | Self::Boxed | Self::Answer)
    }

    fn number(self, text: &str, decimal: Decimal) -> Option<Number> {
        let first = |text: &str| numbers(text, decimal).first().copied();
        match self {
            Self::Hashes => first(text.rsplit_once("####")?.1.lines().find(|line| !line.trim().is_empty())?),
            Self::Boxed => first(boxed(text)?),
            // Lower-casing ASCII keeps the offsets.
            Self::Answer => first(&text[text.to_ascii_lowercase().rfind("answer")? + "answer".len()..]),
            Self::Last => numbers(text, decimal).last().copied(),
            Self::First => first(text),
        }
    }
}

/// The number in the first of these places that has one.
pub(crate) fn find(text: &str, places: &[Place], decimal: Decimal) -> Option<(Number, Place)> {
    places.iter().find_map(|place| Some((place.number(text, decimal)?, *place)))
}

// What is in the last `\boxed{…}`, whose braces may hold others.
fn boxed(text: &str) -> Option<&str> {
    let (_, inside) = text.rsplit_once("\\boxed{")?;
    let mut depth = 1usize;
    for (at, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&inside[..at]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_hold_braces() {
        assert_eq!(boxed(r"\boxed{1} so \boxed{\frac{1}{2}}."), Some(r"\frac{1}{2}"));
        assert_eq!(boxed(r"\boxed{1"), None);
    }

    #[test]
    fn places_in_their_order() {
        let text = "3 apples. The Answer is 4, not 5.";
        let value = |place| find(text, &[Place::Hashes, Place::Boxed, place], Decimal::Point).unwrap().0.value;
        assert_eq!([Place::Answer, Place::Last, Place::First].map(value), [4.0, 5.0, 3.0]);
        assert_eq!(find("none", &[Place::Last], Decimal::Point), None);
    }
}
