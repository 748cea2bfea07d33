//! Methods of texts that look for something in them.

use super::{Run, text_of};
use crate::tokenize::jinja::{
    args::{Args, required},
    fault::{Result, error},
    machine::Machine,
    value::Value,
};

pub(super) const METHODS: &[(&str, Run)] = &[
    ("startswith", startswith),
    ("endswith", endswith),
    ("find", find),
    ("rfind", rfind),
    ("index", index),
    ("rindex", rindex),
    ("count", count),
];

/// What is looked for, and the part of the text that is looked through with the characters before it.
fn within(machine: &Machine<'_>, value: &Value, args: Args, name: &str) -> Result<(Value, String, usize)> {
    let [wanted, start, end] = args.bind(name, ["sub", "start", "end"])?;
    let wanted = required(wanted, "what to look for")?;
    let text = text_of(value);
    machine.budget.text(text.len())?;
    if start.is_none() && end.is_none() {
        return Ok((wanted, text.to_owned(), 0));
    }
    let length = text.chars().count() as i128;
    let bound = |given: Option<Value>, default: i128| -> Result<i128> {
        Ok(match given {
            None | Some(Value::None) => default,
            Some(given) => match given.to_int("a bound")? {
                bound if bound < 0 => (bound + length).max(0),
                bound => bound,
            },
        })
    };
    let (start, end) = (bound(start, 0)?, bound(end, length)?);
    let take = usize::try_from(end - start).unwrap_or(0);
    let start = usize::try_from(start).unwrap_or(0);
    Ok((wanted, text.chars().skip(start).take(take).collect(), start))
}

/// Whether a text, or any of a tuple of them, holds.
fn any(wanted: &Value, holds: impl Fn(&str) -> bool) -> Result<Value> {
    let found = match wanted {
        Value::Str(wanted) => holds(wanted),
        Value::Tuple(several) | Value::List(several) => {
            let mut found = false;
            for wanted in several.iter() {
                found |= holds(&wanted.to_text("what to look for")?);
            }
            found
        }
        other => return error(format!("what to look for must be a string, not {}", other.type_name())),
    };
    Ok(Value::Bool(found))
}

fn startswith(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let (wanted, text, _) = within(machine, value, args, "startswith")?;
    any(&wanted, |wanted| text.starts_with(wanted))
}

fn endswith(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let (wanted, text, _) = within(machine, value, args, "endswith")?;
    any(&wanted, |wanted| text.ends_with(wanted))
}

/// The place of what is looked for, in characters from the text's start; -1 where it is not there.
fn place(machine: &Machine<'_>, value: &Value, args: Args, from_right: bool) -> Result<i128> {
    let (wanted, text, before) = within(machine, value, args, "find")?;
    let wanted = wanted.to_text("what to look for")?;
    let byte = if from_right { text.rfind(&*wanted) } else { text.find(&*wanted) };
    Ok(byte.map_or(-1, |byte| (before + text[..byte].chars().count()) as i128))
}

fn find(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    place(machine, value, args, false).map(Value::Int)
}

fn rfind(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    place(machine, value, args, true).map(Value::Int)
}

fn index(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    match place(machine, value, args, false)? {
        -1 => error("substring not found"),
        place => Ok(Value::Int(place)),
    }
}

fn rindex(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    match place(machine, value, args, true)? {
        -1 => error("substring not found"),
        place => Ok(Value::Int(place)),
    }
}

fn count(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let (wanted, text, _) = within(machine, value, args, "count")?;
    let wanted = wanted.to_text("what to count")?;
    Ok(Value::Int(text.matches(&*wanted).count() as i128))
}
