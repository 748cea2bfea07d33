use crate::{
    digits::{Digits, Group, joined},
    found::Found,
};

/// Digits of an international number, after ITU-T E.164, with those that are in use at least.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits of a national number with its leading zero.
const NATIONAL: std::ops::RangeInclusive<usize> = 9..=14;
/// A national number without any separator is one only if it is about this long; others are ids.
const NATIONAL_UNBROKEN: std::ops::RangeInclusive<usize> = 10..=12;

/// All phone numbers: international ones with `+`, North American ones, and national ones with a leading 0.
pub(crate) fn phones(text: &[char], digits: &[Digits]) -> Vec<Found> {
    digits.iter().filter_map(|digits| phone(text, &digits.groups)).collect()
}

fn phone(text: &[char], groups: &[Group]) -> Option<Found> {
    let start = groups.first()?.span.start;
    let plus = start.checked_sub(1).is_some_and(|before| text[before] == '+');
    let is_phone =
        |groups: &[Group]| (plus && is_international(groups)) || is_north_american(groups) || is_national(groups);
    // The longest beginning that is a number: what follows may be another.
    let end = (1..=groups.len()).rev().find(|end| is_phone(&groups[..*end]))?;
    Some(Found { value: joined(&groups[..end]), span: start..groups[end - 1].span.end })
}

fn is_international(groups: &[Group]) -> bool {
    let number = joined(groups);
    INTERNATIONAL.contains(&number.len()) && !number.starts_with('0')
}

// (212) 555-0123, 212-555-0123, 212.555.0123, and with a 1 before.
fn is_north_american(groups: &[Group]) -> bool {
    let groups = match groups {
        [one, rest @ ..] if one.digits == "1" => rest,
        all => all,
    };
    let [area, exchange, line] = groups else { return false };
    let is_code = |group: &Group| group.digits.len() == 3 && !group.digits.starts_with(['0', '1']);
    is_code(area) && is_code(exchange) && line.digits.len() == 4
}

fn is_national(groups: &[Group]) -> bool {
    let number = joined(groups);
    if !number.starts_with('0') || number.starts_with("000") || is_date(groups) {
        return false;
    }
    match groups {
        [_] => NATIONAL_UNBROKEN.contains(&number.len()),
        // A lone 0 stands before decimals.
        [first, ..] => first.digits.len() >= 2 && NATIONAL.contains(&number.len()),
        [] => false,
    }
}

// 01.02.2024, 01/02/2024 and 01-02-2024.
fn is_date(groups: &[Group]) -> bool {
    matches!(groups, [day, month, year, ..]
        if [day, month, year].map(|group| group.digits.len()) == [2, 2, 4] && month.separator == year.separator && month.separator != " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let text: Vec<char> = text.chars().collect();
        phones(&text, &Digits::all(&text)).into_iter().map(|found| found.value).collect()
    }

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(
            found("+49 30 901820, +1-212-555-0123, +44 (0)20 7946 0958"),
            ["4930901820", "12125550123", "4402079460958"]
        );
        assert_eq!(found("(212) 555-0123 or 1 212.555.0124"), ["2125550123", "12125550124"]);
        assert_eq!(found("030/901820 or 01 23 45 67 89 or 0612345678"), ["030901820", "0123456789", "0612345678"]);
    }

    #[test]
    fn other_numbers_are_none() {
        let text =
            "12345678, 0.123456789, 01.02.2024 10:30, 2024-01-31, 192.168.100.200, 1 000 000, +5, 007, 00012345678";
        assert_eq!(found(text), [""; 0]);
    }
}
