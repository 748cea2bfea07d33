//! `value.name` and `value[key]`, in Jinja's order: a dot looks for a method first, brackets for an item.

use super::{
    fault::{Result, error},
    methods,
    value::Value,
};

/// `value.name`.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value> {
    if let Some(method) = method(value.require()?, name) {
        return Ok(method);
    }
    Ok(match value {
        Value::Dict(dict) => dict.named(name).cloned(),
        Value::Namespace(attributes) => attributes.borrow().named(name).cloned(),
        Value::Loop(state) => state.attribute(name),
        // A group of `groupby` is a pair with names.
        Value::Tuple(pair) if pair.len() == 2 => match name {
            "grouper" => pair.first().cloned(),
            "list" => pair.last().cloned(),
            _ => None,
        },
        Value::Macro(called) if name == "name" => Some(Value::str(called.declared.name)),
        _ => None,
    }
    .unwrap_or_else(|| Value::undefined(name)))
}

fn method(value: &Value, name: &str) -> Option<Value> {
    let method = methods::named(value, name)?;
    Some(Value::Method(std::rc::Rc::new((value.clone(), method))))
}

/// `value[key]`.
pub(super) fn item(value: &Value, key: &Value) -> Result<Value> {
    let found = match value.require()? {
        Value::Dict(dict) => dict.get(key.require()?).cloned(),
        Value::List(items) | Value::Tuple(items) => place(key, items.len()).and_then(|place| items.get(place).cloned()),
        Value::Str(text) => place(key, text.chars().count())
            .and_then(|place| text.chars().nth(place))
            .map(|character| Value::str(character.encode_utf8(&mut [0; 4]) as &str)),
        _ => None,
    };
    match (found, key) {
        (Some(found), _) => Ok(found),
        (None, Value::Str(name)) => attribute(value, name),
        (None, Value::Undefined(name)) => error(format!("'{name}' is undefined")),
        (None, _) => Ok(Value::undefined("item")),
    }
}

/// An index, counted from the end where it is negative.
fn place(key: &Value, length: usize) -> Option<usize> {
    let index = key.as_int()?;
    usize::try_from(if index < 0 { index + length as i128 } else { index }).ok()
}
