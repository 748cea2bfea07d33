//! Methods of texts that look at their letters, or change them.

use super::{Run, text::is_space, text_of};
use crate::tokenize::jinja::{args::Args, fault::Result, machine::Machine, value::Value};

pub(super) const METHODS: &[(&str, Run)] = &[
    ("lower", |machine, value, args| changed(machine, value, args, |text| text.to_lowercase())),
    ("upper", |machine, value, args| changed(machine, value, args, |text| text.to_uppercase())),
    ("casefold", |machine, value, args| changed(machine, value, args, |text| text.to_lowercase())),
    ("capitalize", |machine, value, args| changed(machine, value, args, capitalized)),
    ("title", |machine, value, args| changed(machine, value, args, |text| titled(text, char::is_alphabetic))),
    ("swapcase", |machine, value, args| changed(machine, value, args, swapped)),
    ("isalpha", |_, value, args| all(value, args, char::is_alphabetic)),
    ("isalnum", |_, value, args| all(value, args, char::is_alphanumeric)),
    ("isdigit", |_, value, args| all(value, args, |character| character.is_numeric())),
    ("isdecimal", |_, value, args| all(value, args, |character| character.is_numeric())),
    ("isnumeric", |_, value, args| all(value, args, |character| character.is_numeric())),
    ("isspace", |_, value, args| all(value, args, is_space)),
    ("isascii", |_, value, args| {
        let [] = args.bind("isascii", [])?;
        Ok(Value::Bool(text_of(value).is_ascii()))
    }),
    ("islower", |_, value, args| cased(value, args, char::is_lowercase, char::is_uppercase)),
    ("isupper", |_, value, args| cased(value, args, char::is_uppercase, char::is_lowercase)),
];

fn changed(machine: &mut Machine<'_>, value: &Value, args: Args, change: fn(&str) -> String) -> Result<Value> {
    let [] = args.bind("this method", [])?;
    machine.budget.text(text_of(value).len())?;
    Ok(Value::str(change(text_of(value))))
}

/// Whether there are characters and all of them hold.
fn all(value: &Value, args: Args, holds: fn(char) -> bool) -> Result<Value> {
    let [] = args.bind("this method", [])?;
    let text = text_of(value);
    Ok(Value::Bool(!text.is_empty() && text.chars().all(holds)))
}

/// Whether there are letters of this case and none of the other.
fn cased(value: &Value, args: Args, wanted: fn(char) -> bool, other: fn(char) -> bool) -> Result<Value> {
    let [] = args.bind("this method", [])?;
    let text = text_of(value);
    Ok(Value::Bool(text.chars().any(wanted) && !text.chars().any(other)))
}

/// The first character in upper case, all others in lower case.
pub(in crate::tokenize::jinja) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &characters.as_str().to_lowercase()
}

/// Every word capitalised. A word goes on behind such characters, and begins behind all others.
pub(in crate::tokenize::jinja) fn titled(text: &str, goes_on: impl Fn(char) -> bool) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        match in_word {
            true => titled.extend(character.to_lowercase()),
            false => titled.extend(character.to_uppercase()),
        }
        in_word = goes_on(character);
    }
    titled
}

fn swapped(text: &str) -> String {
    let mut swapped = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_lowercase() {
            true => swapped.extend(character.to_uppercase()),
            false => swapped.extend(character.to_lowercase()),
        }
    }
    swapped
}
