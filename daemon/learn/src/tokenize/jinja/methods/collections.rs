//! Methods of lists, tuples and dictionaries.

use super::{Run, changes};
use crate::tokenize::jinja::{
    args::{Args, required},
    compare::equal,
    fault::{Result, error},
    machine::Machine,
    value::Value,
};

pub(super) const OF_LISTS: &[(&str, Run)] = &[("count", count), ("index", index)];

pub(super) const THAT_CHANGE_LISTS: &[(&str, Run)] = &[
    ("append", changes),
    ("clear", changes),
    ("extend", changes),
    ("insert", changes),
    ("pop", changes),
    ("remove", changes),
    ("reverse", changes),
    ("sort", changes),
];

pub(super) const OF_DICTS: &[(&str, Run)] =
    &[("get", get), ("items", items), ("keys", keys), ("values", values), ("copy", copy)];

pub(super) const THAT_CHANGE_DICTS: &[(&str, Run)] =
    &[("clear", changes), ("pop", changes), ("popitem", changes), ("setdefault", changes), ("update", changes)];

fn count(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [wanted] = args.bind("count", ["value"])?;
    let wanted = required(wanted, "the value to count")?;
    let mut count = 0;
    for item in value.as_items().into_iter().flat_map(|items| items.iter()) {
        count += i128::from(equal(item, &wanted, machine.budget)?);
    }
    Ok(Value::Int(count))
}

fn index(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [wanted] = args.bind("index", ["value"])?;
    let wanted = required(wanted, "the value to find")?;
    for (at, item) in value.as_items().into_iter().flat_map(|items| items.iter()).enumerate() {
        if equal(item, &wanted, machine.budget)? {
            return Ok(Value::Int(at as i128));
        }
    }
    error("the value is not in the list")
}

fn get(_: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [key, default] = args.bind("get", ["key", "default"])?;
    let key = required(key, "the key")?;
    let found = match value {
        Value::Dict(dict) => dict.get(&key).cloned(),
        _ => None,
    };
    Ok(found.or(default).unwrap_or(Value::None))
}

fn entries<'a>(machine: &Machine<'_>, value: &'a Value) -> Result<Vec<&'a (Value, Value)>> {
    let Value::Dict(dict) = value else { return Ok(Vec::new()) };
    machine.budget.steps(dict.len())?;
    Ok(dict.iter().collect())
}

fn items(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [] = args.bind("items", [])?;
    let pair = |(key, value): &(Value, Value)| Value::tuple(vec![key.clone(), value.clone()]);
    Ok(Value::list(entries(machine, value)?.into_iter().map(pair).collect()))
}

fn keys(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [] = args.bind("keys", [])?;
    Ok(Value::list(entries(machine, value)?.into_iter().map(|(key, _)| key.clone()).collect()))
}

fn values(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [] = args.bind("values", [])?;
    Ok(Value::list(entries(machine, value)?.into_iter().map(|(_, value)| value.clone()).collect()))
}

fn copy(_: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [] = args.bind("copy", [])?;
    Ok(value.clone())
}
