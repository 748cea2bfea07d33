//! Filters that pick items, or something of each item.

use std::rc::Rc;

use super::Filter;
use crate::tokenize::jinja::{
    args::Args,
    attribute,
    fault::{Result, error},
    iteration::items_of,
    machine::Machine,
    tests_of_values::holds,
    value::Value,
};

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("map", map),
    ("select", |machine, value, args| pick(machine, &value, args, (false, true))),
    ("reject", |machine, value, args| pick(machine, &value, args, (false, false))),
    ("selectattr", |machine, value, args| pick(machine, &value, args, (true, true))),
    ("rejectattr", |machine, value, args| pick(machine, &value, args, (true, false))),
];

/// The steps of `a.b.0`.
pub(super) fn path_of(attribute: &Value) -> Result<Vec<Value>> {
    let step = |step: &str| match step.parse::<u32>() {
        Ok(place) => Value::Int(i128::from(place)),
        Err(_) => Value::str(step),
    };
    match attribute {
        Value::Str(path) => Ok(path.split('.').map(step).collect()),
        Value::Int(_) => Ok(vec![attribute.clone()]),
        other => error(format!("an attribute must be a name, not {}", other.type_name())),
    }
}

/// What a path leads to; without one, the item itself.
pub(super) fn of_attribute(item: &Value, path: Option<&[Value]>) -> Result<Value> {
    let mut value = item.clone();
    for step in path.into_iter().flatten() {
        value = attribute::item(&value, step)?;
    }
    Ok(value)
}

fn map(machine: &mut Machine<'_>, value: Value, mut args: Args) -> Result<Value> {
    let items = items_of(&value, machine.budget)?;
    let mut mapped = Vec::with_capacity(items.len());
    if args.positional.is_empty() {
        let [attribute, default] = args.bind("map", ["attribute", "default"])?;
        let path = path_of(&super::super::args::required(attribute, "map() needs a filter or an attribute, which")?)?;
        for item in items.iter() {
            let found = of_attribute(item, Some(&path))?;
            mapped.push(if found.is_undefined() { default.clone().unwrap_or(found) } else { found });
        }
        return Ok(Value::list(mapped));
    }
    let filter: Rc<str> = args.positional.remove(0).to_text("the filter's name")?;
    for item in items.iter() {
        mapped.push(super::apply(machine, &filter, item.clone(), args.clone())?);
    }
    Ok(Value::list(mapped))
}

/// `select` and `reject`, of items or of an attribute of each.
fn pick(
    machine: &mut Machine<'_>,
    value: &Value,
    mut args: Args,
    (of_an_attribute, wanted): (bool, bool),
) -> Result<Value> {
    let path = match of_an_attribute {
        true if args.positional.is_empty() => return error("Missing parameter for attribute name"),
        true => Some(path_of(&args.positional.remove(0))?),
        false => None,
    };
    let test = match args.positional.is_empty() {
        true => None,
        false => Some(args.positional.remove(0).to_text("the test's name")?),
    };
    let mut kept = Vec::new();
    for item in items_of(value, machine.budget)?.iter() {
        let looked_at = of_attribute(item, path.as_deref())?;
        let held = match &test {
            Some(test) => holds(machine, test, &looked_at, args.clone())?,
            None => looked_at.is_true(),
        };
        if held == wanted {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}
