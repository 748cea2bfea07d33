//! Values as text, as Python's `str` and `repr` write them.

use std::{fmt::Write, rc::Rc};

use super::{budget::Budget, fault::Result, value::Value};

/// Python's `str(value)`.
pub(super) fn to_str(value: &Value, budget: &Budget) -> Result<Rc<str>> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Undefined(_) => Ok("".into()),
        other => Ok(repr(other, budget)?.into()),
    }
}

/// Python's `repr(value)`.
pub(super) fn repr(value: &Value, budget: &Budget) -> Result<String> {
    let mut text = String::new();
    write_repr(value, &mut text, budget)?;
    Ok(text)
}

fn write_repr(value: &Value, out: &mut String, budget: &Budget) -> Result<()> {
    budget.steps(1)?;
    let before = out.len();
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => push(out, number),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Str(text) => write_quoted(text, out),
        Value::List(items) => write_items(items, ("[", "]"), out, budget)?,
        Value::Tuple(items) if items.len() == 1 => write_items(items, ("(", ",)"), out, budget)?,
        Value::Tuple(items) => write_items(items, ("(", ")"), out, budget)?,
        Value::Dict(dict) => budget.deeper(|| {
            out.push('{');
            for (at, (key, value)) in dict.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_repr(key, out, budget)?;
                out.push_str(": ");
                write_repr(value, out, budget)?;
            }
            out.push('}');
            Ok(())
        })?,
        Value::Namespace(attributes) => budget.deeper(|| {
            let attributes = Value::Dict(Rc::new(attributes.borrow().clone()));
            out.push_str("<Namespace ");
            write_repr(&attributes, out, budget)?;
            out.push('>');
            Ok(())
        })?,
        Value::Loop(state) => push(out, format_args!("<LoopContext {}/{}>", state.at.get() + 1, state.items.len())),
        Value::Macro(called) => push(out, format_args!("<Macro '{}'>", called.declared.name)),
        Value::Method(method) => push(out, format_args!("<built-in method {}>", method.1)),
        Value::Function(name) => push(out, format_args!("<function {name}>")),
    }
    if value.as_items().is_none() && !matches!(value, Value::Dict(_) | Value::Namespace(_)) {
        budget.text(out.len() - before)?;
    }
    Ok(())
}

fn write_items(items: &[Value], (open, close): (&str, &str), out: &mut String, budget: &Budget) -> Result<()> {
    budget.deeper(|| {
        out.push_str(open);
        for (at, item) in items.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            write_repr(item, out, budget)?;
        }
        out.push_str(close);
        Ok(())
    })
}

fn push(out: &mut String, text: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(out, "{text}");
}

fn write_quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if character == quote => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ if is_printable(character) => out.push(character),
            _ => match character as u32 {
                code @ 0..=0xff => push(out, format_args!("\\x{code:02x}")),
                code @ 0x100..=0xffff => push(out, format_args!("\\u{code:04x}")),
                code => push(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

/// Rust escapes in debug output what is not printable, and marks that combine where nothing stands before them.
fn is_printable(character: char) -> bool {
    let pair: String = ['a', character].iter().collect();
    pair.escape_debug().count() == 2
}

/// Python's `repr(float)`: the shortest digits that give the number, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        let quoted = |text: &str| repr(&Value::str(text), &Budget::of_a_row()).unwrap();
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("a'\"\n"), "'a\\'\"\\n'");
        assert_eq!(quoted("é\u{a0}\u{200b}\u{7f}😀"), "'é\\xa0\\u200b\\x7f😀'");
    }
}
