use super::{Own, Side, draw};
use crate::random::Random;

/// A quantity in words → a number and the unit's symbol.
pub(super) const TASK: Own =
    Own { name: "units", draw: |training, evaluation| draw("units", 301, (training, evaluation), make) };

// A unit in words, and its symbol.
const UNITS: [(&str, &str); 10] = [
    ("kilometres", "km"),
    ("metres", "m"),
    ("centimetres", "cm"),
    ("kilograms", "kg"),
    ("grams", "g"),
    ("litres", "l"),
    ("hours", "h"),
    ("minutes", "min"),
    ("seconds", "s"),
    ("watts", "W"),
];

const TENS: [&str; 10] = ["", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ONES: [&str; 20] = [
    "",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TRAINING: [&str; 4] = ["It came to {}.", "We measured {}.", "She asked for {}.", "The sign says {}."];
const EVALUATION: [&str; 3] = ["They had counted on {}.", "He wrote down {}.", "Exactly {} were left."];

fn make(side: Side, random: &mut Random) -> (String, String) {
    let (unit, symbol) = UNITS[random.below(UNITS.len())];
    let (number, half) = (random.below(98) + 2, random.below(4) == 0);
    let words = in_words(number);
    let (words, digits) =
        if half { (format!("{words} and a half"), format!("{number}.5")) } else { (words, number.to_string()) };
    let template = random.pick(side.of(TRAINING.as_slice(), &EVALUATION)).copied().unwrap_or_default();
    let sentence = template.replace("{}", &format!("{words} {unit}"));
    (format!("Short form of the quantity: {sentence}"), format!("{digits} {symbol}"))
}

/// A number from 1 to 99.
fn in_words(number: usize) -> String {
    match (number / 10, number % 10) {
        (0 | 1, _) => ONES[number].to_owned(),
        (tens, 0) => TENS[tens].to_owned(),
        (tens, ones) => format!("{}-{}", TENS[tens], ONES[ones]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_they_are_written() {
        assert_eq!(
            [2, 10, 13, 20, 47, 99].map(in_words),
            ["two", "ten", "thirteen", "twenty", "forty-seven", "ninety-nine"]
        );
    }
}
