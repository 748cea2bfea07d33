use super::{Own, Side, draw};
use crate::random::Random;

/// A date in words → year-month-day.
pub(super) const TASK: Own =
    Own { name: "dates", draw: |training, evaluation| draw("dates", 101, (training, evaluation), make) };

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// No month has fewer days.
const DAYS: usize = 28;
const YEARS: std::ops::Range<usize> = 1900..2030;

// {m} month, {d} day, {o} day as an ordinal, {y} year.
const TRAINING: [&str; 5] = ["{m} {d}, {y}", "{d} {m} {y}", "the {o} of {m} {y}", "{m} {o}, {y}", "{y}, {m} {d}"];
const EVALUATION: [&str; 4] = ["the {o} of {m}, {y}", "{o} {m} {y}", "{d}. {m} {y}", "day {d} of {m} {y}"];

fn make(side: Side, random: &mut Random) -> (String, String) {
    let (month, day) = (random.below(MONTHS.len()), random.below(DAYS) + 1);
    let year = YEARS.start + random.below(YEARS.len());
    let template = random.pick(side.of(TRAINING.as_slice(), &EVALUATION)).copied().unwrap_or_default();
    let date = template
        .replace("{m}", MONTHS[month])
        .replace("{d}", &day.to_string())
        .replace("{o}", &ordinal(day))
        .replace("{y}", &year.to_string());
    (format!("Date as digits: {date}"), format!("{year}-{:02}-{day:02}", month + 1))
}

fn ordinal(day: usize) -> String {
    let ending = match (day % 10, day % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_end_as_they_are_said() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 22, 23].map(ordinal),
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd"]
        );
    }
}
