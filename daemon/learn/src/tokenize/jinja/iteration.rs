//! What can be looped over.

use std::rc::Rc;

use super::{
    budget::Budget,
    fault::{Result, error},
    value::{Items, Value},
};

/// The items of a value, as Python's `iter` gives them.
pub(super) fn items_of(value: &Value, budget: &Budget) -> Result<Rc<Items>> {
    let items: Rc<Items> = match value {
        Value::Undefined(_) => Rc::default(),
        Value::List(items) | Value::Tuple(items) => items.clone(),
        Value::Dict(dict) => Rc::new(Items::new(dict.iter().map(|(key, _)| key.clone()).collect())),
        Value::Str(text) => {
            budget.steps(text.len())?;
            let character = |character: char| Value::str(character.encode_utf8(&mut [0; 4]) as &str);
            Rc::new(Items::new(text.chars().map(character).collect()))
        }
        other => return error(format!("'{}' object is not iterable", other.type_name())),
    };
    budget.steps(items.len())?;
    Ok(items)
}
