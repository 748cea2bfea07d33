//! Filters on texts.

use std::rc::Rc;

use super::Filter;
use crate::tokenize::jinja::{
    args::{Args, required},
    fault::Result,
    format, json,
    machine::Machine,
    methods::{capitalized, center, is_space, lines, replaced, stripped, titled},
    repr,
    value::Value,
};

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("tojson", json::tojson),
    ("string", string),
    ("safe", string),
    ("trim", trim),
    ("upper", |machine, value, args| changed(machine, &value, args, |text| text.to_uppercase())),
    ("lower", |machine, value, args| changed(machine, &value, args, |text| text.to_lowercase())),
    ("capitalize", |machine, value, args| changed(machine, &value, args, capitalized)),
    ("title", |machine, value, args| changed(machine, &value, args, |text| titled(text, is_within_word))),
    ("replace", |machine, value, args| {
        let text = repr::to_str(&value, machine.budget)?;
        replaced(machine, &text, args)
    }),
    ("indent", indent),
    ("format", fill),
    ("center", |machine, value, mut args| {
        if args.positional.is_empty() && args.named.is_empty() {
            args.positional.push(Value::Int(80));
        }
        let text = Value::Str(repr::to_str(&value, machine.budget)?);
        center(machine, &text, args)
    }),
    ("truncate", truncate),
    ("wordcount", wordcount),
    ("escape", escape),
    ("e", escape),
    ("forceescape", escape),
    ("pprint", |machine, value, _| repr::repr(&value, machine.budget).map(Value::str)),
];

fn text(machine: &Machine<'_>, value: &Value) -> Result<Rc<str>> {
    let text = repr::to_str(value, machine.budget)?;
    machine.budget.text(text.len())?;
    Ok(text)
}

fn changed(machine: &Machine<'_>, value: &Value, args: Args, change: fn(&str) -> String) -> Result<Value> {
    let [] = args.bind("this filter", [])?;
    Ok(Value::str(change(&text(machine, value)?)))
}

fn string(machine: &mut Machine<'_>, value: Value, _: Args) -> Result<Value> {
    Ok(Value::Str(repr::to_str(&value, machine.budget)?))
}

fn trim(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [characters] = args.bind("trim", ["chars"])?;
    stripped(&text(machine, &value)?, characters, (true, true))
}

/// Jinja's own: a word begins after a blank, a hyphen or an opening bracket.
fn is_within_word(character: char) -> bool {
    !(is_space(character) || "-({[<".contains(character))
}

fn indent(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"])?;
    let is_set = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
    let (first, blank) = (is_set(first), is_set(blank));
    let indention: Rc<str> = match width {
        Some(Value::Str(indention)) => indention,
        width => {
            let width = usize::try_from(width.map_or(Ok(4), |width| width.to_int("width"))?).unwrap_or(0);
            machine.budget.text(width)?;
            " ".repeat(width).into()
        }
    };
    let text = [&*text(machine, &value)?, "\n"].concat();
    let lines = lines(&text);
    machine.budget.text(text.len().saturating_add(lines.len().saturating_mul(indention.len())))?;
    let mut indented = String::new();
    for (at, (line, _)) in lines.iter().enumerate() {
        let is_indented = if at == 0 { first } else { blank || !line.is_empty() };
        indented.extend([if at == 0 { "" } else { "\n" }, if is_indented { &*indention } else { "" }, line]);
    }
    Ok(Value::str(indented))
}

fn fill(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let pattern = text(machine, &value)?;
    format::percent(&pattern, &args, machine.budget).map(Value::str)
}

fn truncate(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [length, killwords, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let count = |given: Option<Value>, default: usize| -> Result<usize> {
        Ok(given.map(|given| given.to_int("a length")).transpose()?.map_or(default, |given| given.max(0) as usize))
    };
    let (length, leeway) = (count(length, 255)?, count(leeway, 5)?);
    let end = end.map_or(Ok("...".into()), |end| end.to_text("end"))?;
    let text = text(machine, &value)?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::Str(text));
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    if killwords.is_some_and(|killwords| killwords.is_true()) {
        return Ok(Value::str(kept + &end));
    }
    let words = kept.rsplit_once(' ').map_or(kept.as_str(), |(words, _)| words);
    Ok(Value::str([words, &end].concat()))
}

fn wordcount(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [] = args.bind("wordcount", [])?;
    let text = text(machine, &value)?;
    let words = text.split(|character: char| !(character.is_alphanumeric() || character == '_'));
    Ok(Value::Int(words.filter(|word| !word.is_empty()).count() as i128))
}

fn escape(machine: &mut Machine<'_>, value: Value, _: Args) -> Result<Value> {
    let mut escaped = text(machine, &value)?.to_string();
    for (character, entity) in [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")] {
        let args = Args { positional: [character, entity].map(Value::str).to_vec(), named: Vec::new() };
        escaped = required(Some(replaced(machine, &escaped, args)?), "the text")?.to_text("the text")?.to_string();
    }
    Ok(Value::str(escaped))
}
