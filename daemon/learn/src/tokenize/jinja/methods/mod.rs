//! The methods that Python's values have, and that templates call.

mod collections;
mod finding;
mod letters;
mod text;

pub(super) use letters::{capitalized, titled};
pub(super) use text::{center, is_space, lines, replaced, stripped};

use super::{
    args::Args,
    fault::{Result, error},
    machine::Machine,
    value::Value,
};

type Run = fn(&mut Machine<'_>, &Value, Args) -> Result<Value>;

/// The name of a value's method, where its type has one of this name.
pub(super) fn named(value: &Value, name: &str) -> Option<&'static str> {
    find(value, name).map(|(name, _)| name)
}

/// Calls a value's method, which is [`named`] so.
pub(super) fn call(machine: &mut Machine<'_>, value: &Value, name: &str, args: Args) -> Result<Value> {
    match find(value, name) {
        Some((_, run)) => run(machine, value, args),
        None => error(format!("'{}' object has no method '{name}'", value.type_name())),
    }
}

fn find(value: &Value, name: &str) -> Option<(&'static str, Run)> {
    let tables: &[&[(&'static str, Run)]] = match value {
        Value::Str(_) => &[text::METHODS, finding::METHODS, letters::METHODS],
        Value::List(_) => &[collections::OF_LISTS, collections::THAT_CHANGE_LISTS],
        Value::Tuple(_) => &[collections::OF_LISTS],
        Value::Dict(_) => &[collections::OF_DICTS, collections::THAT_CHANGE_DICTS],
        _ => return None,
    };
    tables.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).copied()
}

/// The text that a text's method is called on.
fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// As transformers' sandbox: values that were given are not changed.
fn changes(_: &mut Machine<'_>, _: &Value, _: Args) -> Result<Value> {
    error("access to a method that changes a list or dictionary is unsafe")
}
