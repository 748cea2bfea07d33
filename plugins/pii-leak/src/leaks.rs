use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{cards::cards, digits::Digits, emails::emails, found::Found, ibans::ibans, phones::phones};

/// A kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// name@host.domain
    Emails,
    /// International numbers with +, North American ones, and national ones with a leading 0.
    Phones,
    /// Payment cards: known issuers' prefixes and lengths, with a right Luhn digit.
    Cards,
    /// Account numbers with right length for their country and right check digits (mod 97).
    Ibans,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Emails, Self::Phones, Self::Cards, Self::Ibans];

    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::Emails => "emails",
            Self::Phones => "phones",
            Self::Cards => "cards",
            Self::Ibans => "ibans",
        }
    }

    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Emails => "e-mail address",
            Self::Phones => "phone number",
            Self::Cards => "card number",
            Self::Ibans => "IBAN",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Emails => "e-mail addresses",
            Self::Phones => "phone numbers",
            Self::Cards => "card numbers",
            Self::Ibans => "IBANs",
        }
    }
}

/// One piece of personal data, written so that equal ones compare as equal: addresses in lower case, numbers without
/// separators.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leak {
    pub(crate) kind: Kind,
    pub(crate) value: String,
}

/// All personal data in a text. What is part of an IBAN is no card, and what is part of either no phone number.
pub(crate) fn leaks(text: &str) -> Vec<Leak> {
    let text: Vec<char> = text.chars().collect();
    let digits = Digits::all(&text);
    let mut taken: Vec<Range<usize>> = Vec::new();
    let mut leaks = Vec::new();
    let found = [
        (Kind::Emails, emails(&text)),
        (Kind::Ibans, ibans(&text)),
        (Kind::Cards, cards(&digits)),
        (Kind::Phones, phones(&text, &digits)),
    ];
    for (kind, found) in found {
        for Found { value, span } in found {
            if taken.iter().all(|other| span.end <= other.start || other.end <= span.start) {
                taken.push(span);
                leaks.push(Leak { kind, value });
            }
        }
    }
    leaks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_is_one_kind_only() {
        let kinds = |text| leaks(text).into_iter().map(|leak| leak.kind).collect::<Vec<_>>();
        assert_eq!(kinds("DE89 3704 0044 0532 0130 00"), [Kind::Ibans]);
        assert_eq!(kinds("4111 1111 1111 1111"), [Kind::Cards]);
        assert_eq!(kinds("a.b@c.de +49 30 901820"), [Kind::Emails, Kind::Phones]);
        assert_eq!(kinds("On 2024-01-31 at 10:30, 1,234,567.89 of 0.123456789"), []);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[-+0-9 ()./@a-zDE]{0,60}") {
            leaks(&text);
        }
    }
}
