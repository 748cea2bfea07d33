//! Equality, order and membership, as Python has them.

use std::cmp::Ordering;

use super::{
    budget::Budget,
    fault::{Result, error},
    iteration::items_of,
    value::Value,
};

/// `one == other`.
pub(super) fn equal(one: &Value, other: &Value, budget: &Budget) -> Result<bool> {
    budget.steps(1)?;
    Ok(match (one, other) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Str(one), Value::Str(other)) => {
            budget.steps(one.len().min(other.len()) / 64)?;
            one == other
        }
        (Value::List(one), Value::List(other)) | (Value::Tuple(one), Value::Tuple(other)) => {
            one.len() == other.len() && budget.deeper(|| all_equal(one.iter().zip(other.iter()), budget))?
        }
        (Value::Dict(one), Value::Dict(other)) => {
            let same_keys = one.len() == other.len() && one.iter().all(|(key, _)| other.get(key).is_some());
            let pairs = one.iter().filter_map(|(key, value)| Some((value, other.get(key)?)));
            same_keys && budget.deeper(|| all_equal(pairs, budget))?
        }
        (Value::Namespace(one), Value::Namespace(other)) => std::rc::Rc::ptr_eq(one, other),
        (Value::Macro(one), Value::Macro(other)) => std::rc::Rc::ptr_eq(one, other),
        (Value::Function(one), Value::Function(other)) => one == other,
        _ => match (one.as_int(), other.as_int()) {
            (Some(one), Some(other)) => one == other,
            _ => one.as_float().is_some_and(|one| Some(one) == other.as_float()),
        },
    })
}

fn all_equal<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>, budget: &Budget) -> Result<bool> {
    for (one, other) in pairs {
        if !equal(one, other, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which of the two comes first; an error where Python has no order for them.
pub(super) fn compare(one: &Value, other: &Value, budget: &Budget) -> Result<Ordering> {
    budget.steps(1)?;
    match (one.require()?, other.require()?) {
        (Value::Str(one), Value::Str(other)) => {
            budget.steps(one.len().min(other.len()) / 64)?;
            return Ok(one.cmp(other));
        }
        (Value::List(one), Value::List(other)) | (Value::Tuple(one), Value::Tuple(other)) => {
            return budget.deeper(|| {
                for (one, other) in one.iter().zip(other.iter()) {
                    if !equal(one, other, budget)? {
                        return compare(one, other, budget);
                    }
                }
                Ok(one.len().cmp(&other.len()))
            });
        }
        _ => {}
    }
    if let (Some(one), Some(other)) = (one.as_int(), other.as_int()) {
        return Ok(one.cmp(&other));
    }
    match (one.as_float(), other.as_float()) {
        (Some(left), Some(right)) => Ok(left.total_cmp(&right)),
        _ => error(format!("'<' not supported between instances of '{}' and '{}'", one.type_name(), other.type_name())),
    }
}

/// `needle in haystack`.
pub(super) fn contains(haystack: &Value, needle: &Value, budget: &Budget) -> Result<bool> {
    match haystack {
        Value::Str(text) => match needle {
            Value::Str(part) => {
                budget.steps(text.len() / 64)?;
                Ok(text.contains(&**part))
            }
            Value::Undefined(name) => error(format!("'{name}' is undefined")),
            other => error(format!("'in <string>' requires string as left operand, not {}", other.type_name())),
        },
        Value::Dict(dict) => Ok(dict.get(needle).is_some()),
        other => {
            for item in items_of(other, budget)?.iter() {
                if equal(item, needle, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}
