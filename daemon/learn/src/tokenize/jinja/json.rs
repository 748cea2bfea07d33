//! transformers' `tojson`: Python's `json.dumps`, without the escapes for HTML that Jinja's own filter has.

use std::fmt::Write;

use super::{
    args::Args,
    budget::Budget,
    fault::{Result, error},
    machine::Machine,
    repr,
    value::Value,
};

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(machine: &mut Machine<'_>, value: Value, args: Args) -> Result<Value> {
    let [ascii, indent, separators, sort] =
        args.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let budget = machine.budget;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(text)) => Some(text.to_string()),
        Some(width) => {
            let width = usize::try_from(width.to_int("indent")?).unwrap_or(0);
            budget.text(width)?;
            Some(" ".repeat(width))
        }
    };
    let (item, key) = match separators {
        None | Some(Value::None) if indent.is_some() => (",".into(), ": ".into()),
        None | Some(Value::None) => (", ".into(), ": ".into()),
        Some(pair) => match pair.as_items().map(|items| items.as_slice()) {
            Some([item, key]) => (item.to_text("a separator")?, key.to_text("a separator")?),
            _ => return error("separators must be a pair of strings"),
        },
    };
    let is_set = |flag: Option<Value>| flag.is_some_and(|flag| flag.is_true());
    let mut writer =
        Writer { budget, out: String::new(), ascii: is_set(ascii), indent, item, key, sort: is_set(sort), level: 0 };
    writer.value(&value)?;
    Ok(Value::str(writer.out))
}

struct Writer<'a> {
    budget: &'a Budget,
    out: String,
    ascii: bool,
    indent: Option<String>,
    item: std::rc::Rc<str>,
    key: std::rc::Rc<str>,
    sort: bool,
    level: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Result<()> {
        self.budget.steps(1)?;
        match value {
            Value::None => self.push("null"),
            Value::Bool(true) => self.push("true"),
            Value::Bool(false) => self.push("false"),
            Value::Int(number) => self.push(&number.to_string()),
            Value::Float(number) => self.push(&json_float(*number)),
            Value::Str(text) => self.text(text),
            Value::List(items) | Value::Tuple(items) => {
                let budget = self.budget;
                budget.deeper(|| self.block(('[', ']'), items.len(), |writer, at| writer.value(&items[at])))
            }
            Value::Dict(dict) => {
                let mut entries: Vec<(String, &Value)> = Vec::with_capacity(dict.len());
                for (key, value) in dict.iter() {
                    entries.push((key_text(key)?, value));
                }
                if self.sort {
                    entries.sort_by(|one, other| one.0.cmp(&other.0));
                }
                let budget = self.budget;
                budget.deeper(|| {
                    self.block(('{', '}'), entries.len(), |writer, at| {
                        let (key, value) = &entries[at];
                        writer.text(key)?;
                        let separator = writer.key.clone();
                        writer.push(&separator)?;
                        writer.value(value)
                    })
                })
            }
            other => error(format!("Object of type {} is not JSON serializable", other.type_name())),
        }
    }

    fn block(
        &mut self,
        (open, close): (char, char),
        count: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        self.out.push(open);
        self.level += 1;
        for at in 0..count {
            if at > 0 {
                let separator = self.item.clone();
                self.push(&separator)?;
            }
            self.line()?;
            item(self, at)?;
        }
        self.level -= 1;
        if count > 0 {
            self.line()?;
        }
        self.out.push(close);
        Ok(())
    }

    /// With an indent, the line break and the blanks before an item.
    fn line(&mut self) -> Result<()> {
        let Some(indent) = &self.indent else { return Ok(()) };
        self.budget.text(1 + indent.len().saturating_mul(self.level))?;
        let blanks = indent.repeat(self.level);
        self.out.push('\n');
        self.out.push_str(&blanks);
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<()> {
        self.budget.text(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.budget.text(text.len() + 2)?;
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..='\x1f' => self.unicode(character),
                _ if self.ascii && !(' '..='~').contains(&character) => self.unicode(character),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
        Ok(())
    }

    fn unicode(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }
}

fn key_text(key: &Value) -> Result<String> {
    Ok(match key {
        Value::Str(text) => text.to_string(),
        Value::None => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => json_float(*number),
        other => {
            return error(format!("keys must be str, int, float, bool or None, not {}", other.type_name()));
        }
    })
}

fn json_float(number: f64) -> String {
    match repr::float(number).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        text => text.to_owned(),
    }
}
