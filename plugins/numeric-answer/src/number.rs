//! Finds the numbers in a text as people and models write them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plain::plain;

/// Which sign stands before the decimals; the other one groups thousands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Decimal {
    /// As in 1,234.5
    #[default]
    #[serde(rename = ".")]
    Point,
    /// As in 1.234,5
    #[serde(rename = ",")]
    Comma,
}

/// A number that a text holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    /// Its value, without regard to a percent sign.
    pub(crate) value: f64,
    /// Whether a percent sign follows.
    pub(crate) percent: bool,
}

/// All numbers in a text, in order.
///
/// Understood are signs, grouped thousands, decimals, exponents (`1.5e3`, `1.5 × 10^3`), fractions (`3/4`, `1 3/4`, `½`,
/// `\frac{3}{4}`) and percent signs. Digits glued to a letter before them (`H2O`, `x1`) or raised (`m^2`) are no numbers.
pub(crate) fn numbers(text: &str, decimal: Decimal) -> Vec<Number> {
    let text: Vec<char> = plain(text).chars().collect();
    let scanner = Scanner { text: &text, decimal };
    let mut numbers = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !scanner.starts_number(at) {
            at += 1;
            continue;
        }
        let (number, end) = scanner.number(at);
        if !scanner.glued(at) && number.value.is_finite() {
            numbers.push(number);
        }
        at = end;
    }
    numbers
}

struct Scanner<'a> {
    text: &'a [char],
    decimal: Decimal,
}

impl Scanner<'_> {
    fn at(&self, at: usize) -> Option<char> {
        self.text.get(at).copied()
    }

    fn is_digit(&self, at: usize) -> bool {
        self.at(at).is_some_and(|character| character.is_ascii_digit())
    }

    fn before(&self, at: usize) -> Option<char> {
        at.checked_sub(1).and_then(|before| self.at(before))
    }

    // A point behind a word or a number ends it; it does not stand before decimals.
    fn starts_number(&self, at: usize) -> bool {
        let is_point = self.at(at) == Some('.') && !self.before(at).is_some_and(char::is_alphanumeric);
        self.is_digit(at) || (is_point && self.decimal == Decimal::Point && self.is_digit(at + 1))
    }

    fn glued(&self, at: usize) -> bool {
        match self.before(at) {
            // An opening brace of `x^{2}`.
            Some('{') => matches!(at.checked_sub(2).and_then(|before| self.at(before)), Some('^' | '_')),
            Some(before) => before.is_alphabetic() || matches!(before, '^' | '_'),
            None => false,
        }
    }

    // The number whose first digit or point is here, and where it ends.
    fn number(&self, start: usize) -> (Number, usize) {
        let (mut value, mut at, whole) = self.decimals(start);
        if let Some((bottom, end)) = self.denominator(at).filter(|_| self.before(start) != Some('/')) {
            (value, at) = (value / bottom, end);
        } else if let Some((fraction, end)) = whole.then(|| self.proper_fraction(at)).flatten() {
            (value, at) = (value + fraction, end);
        } else if let Some((power, end)) = self.power_of_ten(at) {
            (value, at) = (value * 10f64.powi(power), end);
        }
        let sign = if self.is_negative(start) { -1.0 } else { 1.0 };
        (Number { value: sign * value, percent: self.percent_follows(at) }, at)
    }

    // Digits with grouped thousands, decimals and an exponent; whether it is a whole number without either.
    fn decimals(&self, start: usize) -> (f64, usize, bool) {
        let mut digits = String::new();
        let mut at = self.take_digits(start, &mut digits);
        let grouping = |character| match self.decimal {
            Decimal::Point => matches!(character, ',' | '_' | '\''),
            Decimal::Comma => matches!(character, '.' | '_' | '\''),
        };
        let head = at - start;
        while (1..=3).contains(&head) && self.at(at).is_some_and(grouping) && self.is_group(at + 1) {
            at = self.take_digits(at + 1, &mut digits);
        }
        let point = match self.decimal {
            Decimal::Point => '.',
            Decimal::Comma => ',',
        };
        let mut whole = true;
        if self.at(at) == Some(point) && self.is_digit(at + 1) {
            digits.push('.');
            at = self.take_digits(at + 1, &mut digits);
            whole = false;
        }
        if let Some(end) = self.exponent(at, &mut digits) {
            at = end;
            whole = false;
        }
        // What was collected is a number by construction; an overflow is infinite, which the caller leaves out.
        (digits.parse().unwrap_or(f64::NAN), at, whole)
    }

    fn take_digits(&self, mut at: usize, digits: &mut String) -> usize {
        while let Some(digit) = self.at(at).filter(char::is_ascii_digit) {
            digits.push(digit);
            at += 1;
        }
        at
    }

    fn is_group(&self, at: usize) -> bool {
        (at..at + 3).all(|at| self.is_digit(at)) && !self.is_digit(at + 3)
    }

    // `e-3`, but not the beginning of a word.
    fn exponent(&self, at: usize, digits: &mut String) -> Option<usize> {
        self.at(at).filter(|character| matches!(character, 'e' | 'E'))?;
        let sign = self.at(at + 1).filter(|character| matches!(character, '-' | '+'));
        let first = at + 1 + usize::from(sign.is_some());
        if !self.is_digit(first) {
            return None;
        }
        digits.push('e');
        digits.extend(sign);
        Some(self.take_digits(first, digits))
    }

    // `/4`; a date's `/4/2024` is none.
    fn denominator(&self, at: usize) -> Option<(f64, usize)> {
        if self.at(at) != Some('/') || !self.is_digit(at + 1) {
            return None;
        }
        let (bottom, end, _) = self.decimals(at + 1);
        (bottom != 0.0 && self.at(end) != Some('/')).then_some((bottom, end))
    }

    // The ` 3/4` of `1 3/4`.
    fn proper_fraction(&self, at: usize) -> Option<(f64, usize)> {
        if self.at(at) != Some(' ') || !self.is_digit(at + 1) {
            return None;
        }
        let (top, slash, whole) = self.decimals(at + 1);
        let (bottom, end) = self.denominator(slash)?;
        (whole && top < bottom).then_some((top / bottom, end))
    }

    // `* 10^{-3}` and `x 10^3`.
    fn power_of_ten(&self, at: usize) -> Option<(i32, usize)> {
        let mut at = self.skip_spaces(at);
        self.at(at).filter(|character| matches!(character, '*' | 'x'))?;
        at = self.skip_spaces(at + 1);
        if self.text.get(at..at + 3)? != ['1', '0', '^'] {
            return None;
        }
        at += 3;
        let braced = self.at(at) == Some('{');
        let signed = at + usize::from(braced);
        let negative = self.at(signed) == Some('-');
        let mut digits = String::new();
        let end = self.take_digits(signed + usize::from(negative), &mut digits);
        let power: i32 = digits.parse().ok()?;
        Some((if negative { -power } else { power }, end + usize::from(braced)))
    }

    fn is_negative(&self, start: usize) -> bool {
        let is_currency = |character| matches!(character, '$' | '€' | '£' | '¥' | '\\');
        let mut at = start;
        while self.before(at).is_some_and(is_currency) {
            at -= 1;
        }
        // In `5-3` the sign takes away; it makes no negative number.
        self.before(at) == Some('-')
            && !self.before(at - 1).is_some_and(|before| before.is_alphanumeric() || matches!(before, ')' | '%'))
    }

    fn percent_follows(&self, at: usize) -> bool {
        let at = self.skip_spaces(at);
        let rest: String = self.text[at.min(self.text.len())..].iter().take(7).collect();
        rest.starts_with('%') || rest.starts_with("\\%") || rest == "percent"
    }

    fn skip_spaces(&self, mut at: usize) -> usize {
        while self.at(at) == Some(' ') {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<f64> {
        numbers(text, Decimal::Point).iter().map(|number| number.value).collect()
    }

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(values("1,234,567.5 and 12,34"), [1_234_567.5, 12.0, 34.0]);
        assert_eq!(values("$-5, -$6, −7, 8-9, (-10)"), [-5.0, -6.0, -7.0, 8.0, 9.0, -10.0]);
        assert_eq!(values("3/4, 1 3/4, 2½, 5/0, 1/2/2024"), [0.75, 1.75, 2.5, 5.0, 0.0, 1.0, 2.0, 2024.0]);
        assert_eq!(values(r"\frac{3}{4} -\dfrac{1}{2} 2\frac{1}{4}"), [0.75, -0.5, 2.25]);
        assert_eq!(values(r"1.5e3 1.5E-3 2 × 10^3 2 \times 10^{-2}"), [1500.0, 0.0015, 2000.0, 0.02]);
        assert_eq!(values("42 m^2 of H2O in 3 m2. x^{2}"), [42.0, 3.0]);
        assert_eq!(values("it is 5. .5 10:30 1'000 1\u{202f}000"), [5.0, 0.5, 10.0, 30.0, 1000.0, 1000.0]);
        assert_eq!(values("3 eggs 3e 1e999 No.5 -.5"), [3.0, 3.0, 5.0, -0.5]);
    }

    #[test]
    fn decimal_comma() {
        let values: Vec<f64> = numbers("1.234,5 und 2,75 und 1.5", Decimal::Comma).iter().map(|n| n.value).collect();
        assert_eq!(values, [1234.5, 2.75, 1.0, 5.0]);
    }

    #[test]
    fn percent_signs() {
        let percents: Vec<bool> =
            numbers(r"5% 5 % 5\% 5 percent 5 people", Decimal::Point).iter().map(|n| n.percent).collect();
        assert_eq!(percents, [true, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn plain_numbers_come_back(value in -1e9..1e9f64) {
            prop_assert_eq!(values(&format!("so {value} it is")), [value]);
        }

        #[test]
        fn nothing_panics(text in "[-0-9.,/ ex^*10{}_$%½\\\\frac]{0,40}") {
            numbers(&text, Decimal::Point);
            numbers(&text, Decimal::Comma);
        }
    }
}
