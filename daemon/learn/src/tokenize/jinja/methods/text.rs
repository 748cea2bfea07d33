//! Methods of texts that cut, join and fill them.

use super::{Run, text_of};
use crate::tokenize::jinja::{
    args::{Args, required},
    fault::{Result, error},
    format,
    iteration::items_of,
    machine::Machine,
    value::Value,
};

pub(super) const METHODS: &[(&str, Run)] = &[
    ("strip", strip),
    ("lstrip", lstrip),
    ("rstrip", rstrip),
    ("removeprefix", removeprefix),
    ("removesuffix", removesuffix),
    ("replace", replace),
    ("join", join),
    ("split", split),
    ("rsplit", rsplit),
    ("splitlines", splitlines),
    ("partition", partition),
    ("rpartition", rpartition),
    ("format", fill),
    ("center", center),
    ("ljust", ljust),
    ("rjust", rjust),
    ("zfill", zfill),
];

/// What Python's `str.isspace` holds of.
pub(in crate::tokenize::jinja) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// `text.strip(characters)`, on the sides that are wanted.
pub(in crate::tokenize::jinja) fn stripped(
    text: &str,
    characters: Option<Value>,
    (left, right): (bool, bool),
) -> Result<Value> {
    let characters = match characters {
        None | Some(Value::None) => None,
        Some(characters) => Some(characters.to_text("what to strip")?),
    };
    let goes = |character: char| match &characters {
        Some(characters) => characters.contains(character),
        None => is_space(character),
    };
    let text = if left { text.trim_start_matches(goes) } else { text };
    Ok(Value::str(if right { text.trim_end_matches(goes) } else { text }))
}

fn strip(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    machine.budget.text(text_of(value).len())?;
    let [characters] = args.bind("strip", ["chars"])?;
    stripped(text_of(value), characters, (true, true))
}

fn lstrip(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    machine.budget.text(text_of(value).len())?;
    let [characters] = args.bind("lstrip", ["chars"])?;
    stripped(text_of(value), characters, (true, false))
}

fn rstrip(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    machine.budget.text(text_of(value).len())?;
    let [characters] = args.bind("rstrip", ["chars"])?;
    stripped(text_of(value), characters, (false, true))
}

fn removeprefix(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    machine.budget.text(text_of(value).len())?;
    let [prefix] = args.bind("removeprefix", ["prefix"])?;
    let prefix = required(prefix, "the prefix")?.to_text("the prefix")?;
    Ok(Value::str(text_of(value).strip_prefix(&*prefix).unwrap_or(text_of(value))))
}

fn removesuffix(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    machine.budget.text(text_of(value).len())?;
    let [suffix] = args.bind("removesuffix", ["suffix"])?;
    let suffix = required(suffix, "the suffix")?.to_text("the suffix")?;
    Ok(Value::str(text_of(value).strip_suffix(&*suffix).unwrap_or(text_of(value))))
}

/// `text.replace(old, new, count)`, also as a filter.
pub(in crate::tokenize::jinja) fn replaced(machine: &Machine<'_>, text: &str, args: Args) -> Result<Value> {
    let [old, new, count] = args.bind("replace", ["old", "new", "count"])?;
    let old = required(old, "what to replace")?.to_text("what to replace")?;
    let new = required(new, "what to replace it with")?.to_text("what to replace it with")?;
    let count = match count {
        None | Some(Value::None) => usize::MAX,
        Some(count) => usize::try_from(count.to_int("count")?).unwrap_or(usize::MAX),
    };
    machine.budget.text(text.len())?;
    let found = text.matches(&*old).take(count).count();
    machine.budget.text(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(Value::str(text.replacen(&*old, &new, count)))
}

fn replace(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    replaced(machine, text_of(value), args)
}

fn join(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let [parts] = args.bind("join", ["iterable"])?;
    let parts = items_of(&required(parts, "what to join")?, machine.budget)?;
    let mut joined = String::new();
    for (at, part) in parts.iter().enumerate() {
        let part = part.to_text("what is joined")?;
        let separator = if at == 0 { "" } else { text_of(value) };
        machine.budget.text(separator.len() + part.len())?;
        joined.extend([separator, &part]);
    }
    Ok(Value::str(joined))
}

fn split_arguments(args: Args, name: &str) -> Result<(Option<std::rc::Rc<str>>, usize)> {
    let [separator, count] = args.bind(name, ["sep", "maxsplit"])?;
    let separator = match separator {
        None | Some(Value::None) => None,
        Some(separator) => Some(separator.to_text("the separator")?),
    };
    if separator.as_deref() == Some("") {
        return error("empty separator");
    }
    let count = match count {
        None => usize::MAX,
        Some(count) => usize::try_from(count.to_int("maxsplit")?).unwrap_or(usize::MAX),
    };
    Ok((separator, count))
}

fn list<'a>(machine: &Machine<'_>, parts: impl Iterator<Item = &'a str>) -> Result<Value> {
    let parts: Vec<Value> = parts.map(Value::str).collect();
    machine.budget.steps(parts.len())?;
    Ok(Value::list(parts))
}

fn split(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let text = text_of(value);
    machine.budget.text(text.len())?;
    let (separator, count) = split_arguments(args, "split")?;
    match separator {
        Some(separator) => list(machine, text.splitn(count.saturating_add(1), &*separator)),
        None => {
            let mut rest = text.trim_start_matches(is_space);
            let mut parts = Vec::new();
            while !rest.is_empty() {
                if parts.len() == count {
                    parts.push(rest.trim_end_matches(is_space));
                    break;
                }
                let end = rest.find(is_space).unwrap_or(rest.len());
                parts.push(&rest[..end]);
                rest = rest[end..].trim_start_matches(is_space);
            }
            list(machine, parts.into_iter())
        }
    }
}

fn rsplit(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let text = text_of(value);
    machine.budget.text(text.len())?;
    let (separator, count) = split_arguments(args, "rsplit")?;
    let mut parts: Vec<&str> = match &separator {
        Some(separator) => text.rsplitn(count.saturating_add(1), &**separator).collect(),
        None => {
            let mut rest = text.trim_end_matches(is_space);
            let mut parts = Vec::new();
            while !rest.is_empty() {
                if parts.len() == count {
                    parts.push(rest.trim_start_matches(is_space));
                    break;
                }
                let start = rest.rfind(is_space).map_or(0, |place| place + char_length(rest, place));
                parts.push(&rest[start..]);
                rest = rest[..start].trim_end_matches(is_space);
            }
            parts
        }
    };
    parts.reverse();
    list(machine, parts.into_iter())
}

fn char_length(text: &str, place: usize) -> usize {
    text[place..].chars().next().map_or(0, char::len_utf8)
}

/// The lines of a text as Python's `splitlines` finds them, each with what ends it.
pub(in crate::tokenize::jinja) fn lines(text: &str) -> Vec<(&str, &str)> {
    let ends = |character: char| {
        matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.find(ends).unwrap_or(rest.len());
        let end = match rest[line..].starts_with("\r\n") {
            true => 2,
            false => char_length(rest, line),
        };
        lines.push((&rest[..line], &rest[line..line + end]));
        rest = &rest[line + end..];
    }
    lines
}

fn splitlines(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let text = text_of(value);
    machine.budget.text(text.len())?;
    let [keep] = args.bind("splitlines", ["keepends"])?;
    let keep = keep.is_some_and(|keep| keep.is_true());
    let lines = lines(text);
    machine.budget.steps(lines.len())?;
    let line = |(line, end): (&str, &str)| if keep { Value::str([line, end].concat()) } else { Value::str(line) };
    Ok(Value::list(lines.into_iter().map(line).collect()))
}

fn parted(machine: &Machine<'_>, value: &Value, args: Args, from_right: bool) -> Result<Value> {
    let text = text_of(value);
    machine.budget.text(text.len())?;
    let [separator] = args.bind("partition", ["sep"])?;
    let separator = required(separator, "the separator")?.to_text("the separator")?;
    if separator.is_empty() {
        return error("empty separator");
    }
    let found = if from_right { text.rsplit_once(&*separator) } else { text.split_once(&*separator) };
    let parts = match found {
        Some((before, after)) => [before, &*separator, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::tuple(parts.map(Value::str).to_vec()))
}

fn partition(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    parted(machine, value, args, false)
}

fn rpartition(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    parted(machine, value, args, true)
}

fn fill(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    format::braces(text_of(value), &args, machine.budget).map(Value::str)
}

fn padded(machine: &Machine<'_>, value: &Value, args: Args, layout: fn(usize) -> usize) -> Result<Value> {
    let [width, fill] = args.bind("this method", ["width", "fillchar"])?;
    let width = usize::try_from(required(width, "the width")?.to_int("the width")?).unwrap_or(0);
    let fill = fill.map(|fill| fill.to_text("the fill character")).transpose()?.unwrap_or_else(|| " ".into());
    let text = text_of(value);
    let missing = width.saturating_sub(text.chars().count());
    machine.budget.text(text.len().saturating_add(missing.saturating_mul(fill.len())))?;
    let left = layout(missing);
    Ok(Value::str([&*fill.repeat(left), text, &*fill.repeat(missing - left)].concat()))
}

/// `text.center(width)`, also as a filter.
pub(in crate::tokenize::jinja) fn center(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    padded(machine, value, args, |missing| missing / 2)
}

fn ljust(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    padded(machine, value, args, |_| 0)
}

fn rjust(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    padded(machine, value, args, |missing| missing)
}

fn zfill(machine: &mut Machine<'_>, value: &Value, args: Args) -> Result<Value> {
    let text = text_of(value);
    let sign = if text.starts_with(['-', '+']) { 1 } else { 0 };
    let mut args = args;
    args.positional.truncate(1);
    args.positional.push(Value::str("0"));
    if let Some(Value::Int(width)) = args.positional.first_mut() {
        *width -= sign as i128;
    }
    let digits = padded(machine, &Value::str(&text[sign..]), args, |missing| missing)?;
    Ok(Value::str([&text[..sign], text_of(&digits)].concat()))
}
