//! What templates may call by name: Jinja's own functions and those that transformers adds.

use super::{
    args::{Args, required},
    fault::{Fault, Result, error},
    machine::Machine,
    value::Value,
};
use crate::tokenize::clock;

type Function = fn(&mut Machine<'_>, Args) -> Result<Value>;

/// Every function, one a line.
const FUNCTIONS: &[(&str, Function)] = &[
    ("range", range),
    ("dict", dict),
    ("namespace", namespace),
    ("raise_exception", raise_exception),
    ("strftime_now", strftime_now),
];

/// A function as a value, where there is one of this name.
pub(super) fn named(name: &str) -> Option<Value> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(known, _)| Value::Function(known))
}

pub(super) fn call(machine: &mut Machine<'_>, name: &str, args: Args) -> Result<Value> {
    match FUNCTIONS.iter().find(|(known, _)| *known == name) {
        Some((_, function)) => function(machine, args),
        None => error(format!("'{name}' is undefined")),
    }
}

/// Jinja's sandbox has the same bound.
const RANGE_ITEMS_MAX: i128 = 100_000;

fn range(machine: &mut Machine<'_>, args: Args) -> Result<Value> {
    let bounds = args.bind("range", ["start", "stop", "step"])?;
    let mut numbers = Vec::with_capacity(bounds.len());
    for bound in bounds.iter().flatten() {
        numbers.push(bound.to_int("a bound of range()")?);
    }
    let (start, stop, step) = match numbers.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] if *step != 0 => (*start, *stop, *step),
        _ => return error("range() takes 1 to 3 integers, the third not 0"),
    };
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let count = if span <= 0 { 0 } else { (span - 1) / step.abs() + 1 };
    if count > RANGE_ITEMS_MAX {
        return error(format!("Range too big. The sandbox blocks ranges larger than {RANGE_ITEMS_MAX}"));
    }
    machine.budget.steps(count as usize)?;
    Ok(Value::list((0..count).map(|at| Value::Int(start + at * step)).collect()))
}

fn dict(machine: &mut Machine<'_>, args: Args) -> Result<Value> {
    let mut entries = super::value::Dict::default();
    for given in &args.positional {
        match given {
            Value::Dict(given) => given.iter().for_each(|(key, value)| entries.set(key.clone(), value.clone())),
            other => {
                for pair in super::iteration::items_of(other, machine.budget)?.iter() {
                    match pair.as_items().map(|pair| pair.as_slice()) {
                        Some([key, value]) => entries.set(key.clone(), value.clone()),
                        _ => return error("dict() takes a mapping or pairs"),
                    }
                }
            }
        }
    }
    for (name, value) in args.named {
        entries.set(Value::Str(name), value);
    }
    Ok(Value::Dict(std::rc::Rc::new(entries)))
}

fn namespace(machine: &mut Machine<'_>, args: Args) -> Result<Value> {
    match dict(machine, args)? {
        Value::Dict(attributes) => {
            if let Some((name, _)) =
                attributes.iter().find(|(name, _)| name.as_str().is_some_and(|name| name.starts_with('_')))
            {
                return error(format!(
                    "cannot store the attribute {:?} on a namespace",
                    name.as_str().unwrap_or_default()
                ));
            }
            let attributes = std::rc::Rc::new(std::cell::RefCell::new((*attributes).clone()));
            machine.ends.namespaces.push(attributes.clone());
            Ok(Value::Namespace(attributes))
        }
        other => Ok(other),
    }
}

fn raise_exception(machine: &mut Machine<'_>, args: Args) -> Result<Value> {
    let [message] = args.bind("raise_exception", ["message"])?;
    let message = super::repr::to_str(&required(message, "the message")?, machine.budget)?;
    Err(Fault::Raised(message.to_string()))
}

fn strftime_now(_: &mut Machine<'_>, args: Args) -> Result<Value> {
    let [format] = args.bind("strftime_now", ["format"])?;
    clock::strftime(&required(format, "the format")?.to_text("the format")?).map(Value::str).map_err(Fault::Error)
}
