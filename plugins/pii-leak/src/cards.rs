use crate::{
    digits::{Digits, Group, joined},
    found::Found,
};

/// All payment cards' numbers, written in one or in groups of at least three digits with spaces or hyphens between.
pub(crate) fn cards(digits: &[Digits]) -> Vec<Found> {
    digits.iter().flat_map(|digits| cards_in(&digits.groups)).collect()
}

fn cards_in(groups: &[Group]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < groups.len() {
        // The longest first, so that no number's beginning is taken for a shorter one.
        let card = (start + 1..=groups.len()).rev().find(|end| is_card(&groups[start..*end]));
        match card {
            Some(end) => {
                let span = groups[start].span.start..groups[end - 1].span.end;
                found.push(Found { value: joined(&groups[start..end]), span });
                start = end;
            }
            None => start += 1,
        }
    }
    found
}

fn is_card(groups: &[Group]) -> bool {
    let grouped = groups.iter().all(|group| group.digits.len() >= 3)
        && groups[1..].iter().all(|group| matches!(group.separator.as_str(), " " | "-" | "\u{a0}"));
    if groups.len() > 1 && !grouped {
        return false;
    }
    let number = joined(groups);
    is_issued(&number) && luhn(&number)
}

// Prefixes and lengths of the large issuers.
fn is_issued(number: &str) -> bool {
    if !(13..=19).contains(&number.len()) {
        return false;
    }
    let prefix: u32 = number[..4].parse().unwrap_or(0);
    match prefix {
        4000..=4999 => matches!(number.len(), 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => number.len() == 16,
        3400..=3499 | 3700..=3799 => number.len() == 15,
        3000..=3059 | 3600..=3699 | 3800..=3999 => number.len() == 14,
        3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 => number.len() >= 16,
        5000..=5099 | 5600..=5899 => number.len() >= 16,
        _ => false,
    }
}

// ISO/IEC 7812-1: each second digit from the right is doubled, and the sum of all digits is a multiple of ten.
fn luhn(number: &str) -> bool {
    let digits = number.chars().rev().filter_map(|digit| digit.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let text: Vec<char> = text.chars().collect();
        cards(&Digits::all(&text)).into_iter().map(|found| found.value).collect()
    }

    // The numbers that payment providers publish for tests.
    #[test]
    fn test_numbers_of_the_issuers() {
        for number in [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "30569309025904",
            "3566002020360505",
        ] {
            assert_eq!(found(&format!("Card: {number}.")), [number]);
        }
    }

    #[test]
    fn groups_and_neighbours() {
        assert_eq!(found("in 2024 4111-1111-1111-1111 12/27"), ["4111111111111111"]);
        assert_eq!(found("3782 822463 10005"), ["378282246310005"]);
        assert_eq!(found("4111 1111 1111 1112"), [""; 0]);
        assert_eq!(found("a4111111111111111"), [""; 0]);
        assert_eq!(found("1234567890123456"), [""; 0]);
    }
}
