//! Taking a row apart, field by field.

use serde_json::Value;

use super::Object;
use crate::{Content, Message, RowError, shortened};

/// How many of a row's fields a refusal names, and how much of each, in characters.
const NAMES_MAX: usize = 8;
const NAME_CHARS_MAX: usize = 40;

/// Whether the row gives a field, and not as null.
pub(super) fn has(row: &Object, name: &str) -> bool {
    row.get(name).is_some_and(|value| !value.is_null())
}

/// A text or a list of messages.
///
/// # Errors
/// Where it is missing or something else.
pub(super) fn take_content(row: &mut Object, name: &str) -> Result<Content, RowError> {
    match row.remove(name) {
        Some(Value::String(text)) => Ok(Content::Text(text)),
        Some(Value::Array(turns)) => messages(turns, name).map(Content::Messages),
        Some(Value::Null) | None => Err(field(name, "is missing")),
        Some(other) => Err(wrong_type(name, "a string or a list of messages", &other)),
    }
}

/// A list of messages, at least one.
///
/// # Errors
/// Where it is missing or something else.
pub(super) fn take_messages(row: &mut Object, name: &str) -> Result<Vec<Message>, RowError> {
    match row.remove(name) {
        Some(Value::Array(turns)) => messages(turns, name),
        Some(Value::Null) | None => Err(field(name, "is missing")),
        Some(other) => Err(wrong_type(name, "a list of messages", &other)),
    }
}

fn messages(turns: Vec<Value>, name: &str) -> Result<Vec<Message>, RowError> {
    if turns.is_empty() {
        return Err(field(name, "is an empty list: give at least one message"));
    }
    turns.into_iter().enumerate().map(|(at, turn)| message(turn, &format!("{name}[{at}]"))).collect()
}

fn message(turn: Value, place: &str) -> Result<Message, RowError> {
    match turn {
        Value::Object(turn) => {
            Message::from_fields(turn).map_err(|error| field(&format!("{place}.{}", error.field), &error.problem))
        }
        other => Err(wrong_type(place, "an object with `role` and `content`", &other)),
    }
}

/// A string, or nothing.
///
/// # Errors
/// Where it is something else.
pub(crate) fn take_text(row: &mut Object, name: &str) -> Result<Option<String>, RowError> {
    match row.remove(name) {
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Null) | None => Ok(None),
        Some(other) => Err(wrong_type(name, "a string", &other)),
    }
}

/// A string as it is; a number, list or object as its JSON, since ids are often numbers and references often objects.
pub(crate) fn take_scalar(row: &mut Object, name: &str) -> Option<String> {
    match row.remove(name)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A field that holds something else than it should; `problem` is the rest of the sentence.
pub(super) fn field(name: &str, problem: &str) -> RowError {
    RowError::Field { field: name.to_owned(), problem: problem.to_owned() }
}

/// A field with nothing in it.
pub(super) fn nothing_to_learn(name: &str) -> RowError {
    field(name, "is empty: there is nothing to learn")
}

/// A field of another JSON type.
pub(crate) fn wrong_type(name: &str, wanted: &str, found: &Value) -> RowError {
    field(name, &format!("must be {wanted}, not {}", type_name(found)))
}

/// What a value is, with its article.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The names of a row's fields, for refusals.
pub(super) fn names(row: &Object) -> String {
    if row.is_empty() {
        return "no fields".to_owned();
    }
    let names: Vec<String> =
        row.keys().take(NAMES_MAX).map(|name| format!("`{}`", shortened(name, NAME_CHARS_MAX))).collect();
    let more = if row.len() > NAMES_MAX { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
