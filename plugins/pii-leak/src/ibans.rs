use crate::found::Found;

/// Lengths by country, from the SWIFT IBAN registry.
#[rustfmt::skip]
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22),
    ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DK", 18), ("DO", 28),
    ("EE", 20), ("EG", 29), ("ES", 24), ("FI", 18), ("FO", 18), ("FR", 27), ("GB", 22), ("GE", 22), ("GI", 23),
    ("GL", 18), ("GR", 27), ("GT", 28), ("HR", 21), ("HU", 28), ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26),
    ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21),
    ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22), ("MK", 19), ("MR", 27), ("MT", 31), ("MU", 30), ("NL", 18),
    ("NO", 15), ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22), ("SA", 24),
    ("SC", 31), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("ST", 25), ("SV", 28), ("TL", 23), ("TN", 24),
    ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20),
];

/// All IBANs, written in one or in groups with single spaces between.
pub(crate) fn ibans(text: &[char]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 4 <= text.len() {
        match iban(text, at) {
            Some(iban) => {
                at = iban.span.end;
                found.push(iban);
            }
            None => at += 1,
        }
    }
    found
}

fn iban(text: &[char], start: usize) -> Option<Found> {
    if start.checked_sub(1).is_some_and(|before| text[before].is_alphanumeric()) {
        return None;
    }
    let country: String = text[start..start + 2].iter().collect();
    let (_, length) = LENGTHS.iter().find(|(name, _)| *name == country)?;
    let mut value = String::new();
    let mut at = start;
    while value.len() < *length {
        match text.get(at)? {
            character if character.is_ascii_digit() || character.is_ascii_uppercase() => value.push(*character),
            ' ' | '\u{a0}' if text.get(at - 1).is_some_and(|before| before.is_alphanumeric()) => {}
            _ => return None,
        }
        at += 1;
    }
    let ends = !text.get(at).is_some_and(|after| after.is_alphanumeric());
    (ends && remainder_97(&value) == 1).then_some(Found { value, span: start..at })
}

// ISO 13616: with the first four characters moved to the end and letters read as 10 to 35, the remainder by 97 is 1.
fn remainder_97(iban: &str) -> u32 {
    let (head, tail) = iban.split_at(4);
    let digits = tail.chars().chain(head.chars()).filter_map(|character| character.to_digit(36));
    digits.fold(0, |remainder, digit| (remainder * if digit > 9 { 100 } else { 10 } + digit) % 97)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        ibans(&text.chars().collect::<Vec<_>>()).into_iter().map(|found| found.value).collect()
    }

    // The examples of the registry.
    #[test]
    fn examples_of_the_registry() {
        assert_eq!(found("to DE89 3704 0044 0532 0130 00, please"), ["DE89370400440532013000"]);
        assert_eq!(found("GB29NWBK60161331926819."), ["GB29NWBK60161331926819"]);
        assert_eq!(found("NO93 8601 1117 947 and BE68 5390 0754 7034"), ["NO9386011117947", "BE68539007547034"]);
        assert_eq!(found("FR14 2004 1010 0505 0001 3M02 606"), ["FR1420041010050500013M02606"]);
    }

    #[test]
    fn others_are_none() {
        assert_eq!(found("DE88 3704 0044 0532 0130 00"), [""; 0]);
        assert_eq!(found("DE89 3704 0044 0532 0130 001"), [""; 0]);
        assert_eq!(found("XDE89370400440532013000 DE DE89"), [""; 0]);
    }
}
