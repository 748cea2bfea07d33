//! Filters on lists and dictionaries as a whole.

use std::{cmp::Ordering, rc::Rc};

use super::{
    Filter,
    picking::{of_attribute, path_of},
};
use crate::tokenize::jinja::{
    args::{Args, required},
    attribute,
    compare::{compare, equal},
    fault::{Result, error},
    iteration::items_of,
    machine::Machine,
    repr,
    value::Value,
};

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("length", length),
    ("count", length),
    ("list", |machine, value, _| items_of(&value, machine.budget).map(Value::List)),
    ("join", join),
    ("first", |machine, value, _| end(machine, &value, true)),
    ("last", |machine, value, _| end(machine, &value, false)),
    ("reverse", reverse),
    ("items", items),
    ("dictsort", dictsort),
    ("sort", sort),
    ("unique", unique),
    ("groupby", groupby),
    ("batch", batch),
    ("slice", slice),
    ("attr", attr),
];

fn length(_: &mut Machine<'_>, value: Value, _: Args) -> Result<Value> {
    let length = match &value {
        Value::Undefined(_) => 0,
        Value::Str(text) => text.chars().count(),
        Value::List(items) | Value::Tuple(items) => items.len(),
        Value::Dict(dict) => dict.len(),
        Value::Loop(state) => state.items.len(),
        other => return error(format!("object of type '{}' has no len()", other.type_name())),
    };
    Ok(Value::Int(length as i128))
}

fn join(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [separator, attribute] = args.bind("join", ["d", "attribute"])?;
    let separator = separator.map_or(Ok("".into()), |separator| repr::to_str(&separator, machine.budget))?;
    let path = attribute.map(|attribute| path_of(&attribute)).transpose()?;
    let mut joined = String::new();
    for (at, item) in items_of(&value, machine.budget)?.iter().enumerate() {
        let text = repr::to_str(&of_attribute(item, path.as_deref())?, machine.budget)?;
        let separator = if at == 0 { "" } else { &*separator };
        machine.budget.text(separator.len() + text.len())?;
        joined.extend([separator, &text]);
    }
    Ok(Value::str(joined))
}

fn end(machine: &mut Machine<'_>, value: &Value, first: bool) -> Result<Value> {
    let items = items_of(value, machine.budget)?;
    let item = if first { items.first() } else { items.last() };
    Ok(item.cloned().unwrap_or_else(|| Value::undefined("an item of nothing")))
}

fn reverse(machine: &mut Machine<'_>, value: Value, _: Args) -> Result<Value> {
    if let Value::Str(text) = &value {
        machine.budget.text(text.len())?;
        return Ok(Value::str(text.chars().rev().collect::<String>()));
    }
    Ok(Value::list(items_of(&value, machine.budget)?.iter().rev().cloned().collect()))
}

fn items(machine: &mut Machine<'_>, value: Value, _: Args) -> Result<Value> {
    match &value {
        Value::Undefined(_) => Ok(Value::list(Vec::new())),
        Value::Dict(dict) => {
            machine.budget.steps(dict.len())?;
            let pair = |(key, value): &(Value, Value)| Value::tuple(vec![key.clone(), value.clone()]);
            Ok(Value::list(dict.iter().map(pair).collect()))
        }
        _ => error("Can only get item pairs from a mapping."),
    }
}

/// Sorts by a key, and keeps the order of what is equal. An order that does not exist is an error.
fn sorted(machine: &Machine<'_>, mut items: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<Value>> {
    let mut failed = None;
    items.sort_by(|(one, _), (other, _)| {
        let order = if failed.is_none() { compare(one, other, machine.budget) } else { Ok(Ordering::Equal) };
        let order = order.unwrap_or_else(|fault| {
            failed = Some(fault);
            Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    match failed {
        Some(fault) => Err(fault),
        None => Ok(items.into_iter().map(|(_, item)| item).collect()),
    }
}

/// What is compared without regard to case, unless told otherwise.
fn folded(value: Value, case_sensitive: bool) -> Value {
    match value {
        Value::Str(text) if !case_sensitive => Value::str(text.to_lowercase()),
        value => value,
    }
}

fn dictsort(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [case, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let is_set = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
    let by_value = by.is_some_and(|by| by.as_str() == Some("value"));
    let Value::Dict(dict) = &value else { return error("dictsort works on a mapping") };
    let case = is_set(case);
    let keyed = |(key, value): &(Value, Value)| {
        let sorted_by = if by_value { value } else { key };
        (folded(sorted_by.clone(), case), Value::tuple(vec![key.clone(), value.clone()]))
    };
    sorted(machine, dict.iter().map(keyed).collect(), is_set(reverse)).map(Value::list)
}

fn keyed(machine: &Machine<'_>, value: &Value, attribute: Option<Value>, case: bool) -> Result<Vec<(Value, Value)>> {
    let path = attribute.filter(|attribute| !matches!(attribute, Value::None));
    let path = path.map(|attribute| path_of(&attribute)).transpose()?;
    let items = items_of(value, machine.budget)?;
    items.iter().map(|item| Ok((folded(of_attribute(item, path.as_deref())?, case), item.clone()))).collect()
}

fn sort(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [reverse, case, attribute] = args.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let case = case.is_some_and(|case| case.is_true());
    let items = keyed(machine, &value, attribute, case)?;
    sorted(machine, items, reverse.is_some_and(|reverse| reverse.is_true())).map(Value::list)
}

fn unique(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [case, attribute] = args.bind("unique", ["case_sensitive", "attribute"])?;
    let mut seen: Vec<Value> = Vec::new();
    let mut kept = Vec::new();
    'items: for (key, item) in keyed(machine, &value, attribute, case.is_some_and(|case| case.is_true()))? {
        for seen in &seen {
            if equal(seen, &key, machine.budget)? {
                continue 'items;
            }
        }
        seen.push(key);
        kept.push(item);
    }
    Ok(Value::list(kept))
}

fn groupby(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [attribute, default, case] = args.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let path = path_of(&required(attribute, "the attribute")?)?;
    let case = case.is_some_and(|case| case.is_true());
    let mut pairs = Vec::new();
    for item in items_of(&value, machine.budget)?.iter() {
        let found = of_attribute(item, Some(&path))?;
        let grouper = if found.is_undefined() { default.clone().unwrap_or(found) } else { found };
        pairs.push((folded(grouper.clone(), case), Value::tuple(vec![grouper, item.clone()])));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for pair in sorted(machine, pairs, false)? {
        let Some([grouper, item]) = pair.as_items().map(|pair| pair.as_slice()) else { continue };
        let same = match groups.last() {
            Some((last, _)) => equal(&folded(last.clone(), case), &folded(grouper.clone(), case), machine.budget)?,
            None => false,
        };
        match groups.last_mut() {
            Some((_, items)) if same => items.push(item.clone()),
            _ => groups.push((grouper.clone(), vec![item.clone()])),
        }
    }
    Ok(Value::list(groups.into_iter().map(|(key, items)| Value::tuple(vec![key, Value::list(items)])).collect()))
}

fn count_of(value: Option<Value>, what: &str) -> Result<usize> {
    match usize::try_from(required(value, what)?.to_int(what)?) {
        Ok(count) if count > 0 => Ok(count),
        _ => error(format!("{what} must be at least 1")),
    }
}

fn batch(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [count, fill] = args.bind("batch", ["linecount", "fill_with"])?;
    let count = count_of(count, "linecount")?;
    let items = items_of(&value, machine.budget)?;
    let mut batches: Vec<Vec<Value>> = items.chunks(count).map(<[Value]>::to_vec).collect();
    if let (Some(fill), Some(last)) = (fill.filter(|fill| !matches!(fill, Value::None)), batches.last_mut()) {
        machine.budget.steps(count)?;
        last.resize(count, fill);
    }
    Ok(Value::list(batches.into_iter().map(Value::list).collect()))
}

fn slice(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [count, fill] = args.bind("slice", ["slices", "fill_with"])?;
    let count = count_of(count, "slices")?;
    machine.budget.steps(count)?;
    let items = items_of(&value, machine.budget)?;
    let (each, longer) = (items.len() / count, items.len() % count);
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    let mut slices = Vec::with_capacity(count);
    let mut rest = items.as_slice();
    for at in 0..count {
        let (slice, after) = rest.split_at(each + usize::from(at < longer));
        let filling = fill.clone().filter(|_| at >= longer);
        slices.push(Value::list(slice.iter().cloned().chain(filling).collect()));
        rest = after;
    }
    Ok(Value::list(slices))
}

fn attr(_: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [name] = args.bind("attr", ["name"])?;
    let name: Rc<str> = required(name, "the name")?.to_text("the name")?;
    // Unlike a dot, this looks for no items.
    match value {
        Value::Dict(_) => Ok(Value::undefined(&name)),
        value => attribute::attribute(&value, &name),
    }
}
