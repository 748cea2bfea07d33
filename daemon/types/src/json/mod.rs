//! JSON read so that nothing in it is changed without a word: what a plain reader would drop or round is refused by name.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::shortened;

/// How deep lists and objects may be nested. Samples are written into other JSON, which is read back with a limit of 128.
pub const NESTING_MAX: usize = 64;

/// How much of a number or of the way to a value a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Why a text is not taken as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Of a key that is given twice, readers keep one value or the other.
    #[error("the key `{0}` is given twice: leave one of them")]
    TwiceGiven(String),
    /// Integers are kept with all their digits within 64 bits; beyond them they would be rounded.
    #[error("`{field}` is {digits}, an integer beyond 64 bits, which would lose digits: write it as a string")]
    LargeInteger {
        /// Where, as `messages[2].tool_calls`.
        field: String,
        /// The number, or its beginning.
        digits: String,
    },
    /// More lists and objects in one another than [`NESTING_MAX`].
    #[error("lists and objects are nested more than {NESTING_MAX} deep at `{0}`")]
    Nesting(String),
}

/// Reads one JSON value. Numbers that stand right below the top under one of the `verbatim` keys become strings of the very
/// characters that were written, so that they keep every digit.
///
/// # Errors
/// A [`JsonError`] that names the place.
pub(crate) fn parse(text: &str, verbatim: &[&str]) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0, verbatim, fault: None };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Seed { reader: &mut reader, depth: 0, keep: false };
    let parsed = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| match reader.fault.take() {
        Some(fault) => fault.told(),
        None => JsonError::Syntax(error.to_string()),
    })
}

/// What is wrong beyond the syntax, and the way to it, innermost step first.
struct Fault {
    kind: FaultKind,
    steps: Vec<String>,
}

enum FaultKind {
    TwiceGiven,
    LargeInteger(String),
    Nesting,
}

impl Fault {
    fn told(self) -> JsonError {
        let mut field = String::new();
        for step in self.steps.iter().rev() {
            if !field.is_empty() && !step.starts_with('[') {
                field.push('.');
            }
            field.push_str(step);
        }
        let field = shown(&field);
        match self.kind {
            FaultKind::TwiceGiven => JsonError::TwiceGiven(field),
            FaultKind::LargeInteger(digits) => JsonError::LargeInteger { field, digits: shown(&digits) },
            FaultKind::Nesting => JsonError::Nesting(field),
        }
    }
}

fn shown(text: &str) -> String {
    shortened(text, SHOWN_CHARS_MAX)
}

/// The text beside its values: values are visited in the order in which they stand, so each number finds its own characters.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    verbatim: &'t [&'t str],
    fault: Option<Fault>,
}

impl<'t> Reader<'t> {
    /// The characters of the next number.
    fn next_number(&mut self) -> &'t str {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => self.skip_string(),
                b'-' | b'0'..=b'9' => {
                    let rest = bytes.get(self.at..).unwrap_or_default();
                    let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    let end = self.at + rest.iter().position(|byte| !in_number(byte)).unwrap_or(rest.len());
                    let number = self.text.get(self.at..end).unwrap_or_default();
                    self.at = end;
                    return number;
                }
                _ => self.at += 1,
            }
        }
        ""
    }

    fn skip_string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                return;
            }
        }
    }

    fn fail<E: serde::de::Error>(&mut self, kind: FaultKind) -> E {
        self.fault = Some(Fault { kind, steps: Vec::new() });
        E::custom("")
    }

    /// Adds a step to the way to the fault, if there is one.
    fn within(&mut self, step: impl FnOnce() -> String) {
        if let Some(fault) = &mut self.fault {
            fault.steps.push(step());
        }
    }
}

struct Seed<'r, 't> {
    reader: &'r mut Reader<'t>,
    depth: usize,
    /// Whether a number becomes a string.
    keep: bool,
}

impl<'t> Seed<'_, 't> {
    fn number<E: serde::de::Error>(self, number: Number) -> Result<Value, E> {
        let digits = self.reader.next_number();
        if self.keep {
            return Ok(Value::String(digits.to_owned()));
        }
        if !number.is_f64() || digits.contains(['.', 'e', 'E']) {
            return Ok(Value::Number(number));
        }
        if digits == "-0" {
            return Ok(Value::from(0));
        }
        Err(self.reader.fail(FaultKind::LargeInteger(digits.to_owned())))
    }

    /// The seed of a value inside this one.
    fn inner<'s>(&'s mut self, key: Option<&str>) -> Seed<'s, 't> {
        let keep = self.depth == 0 && key.is_some_and(|key| self.reader.verbatim.contains(&key));
        Seed { reader: &mut *self.reader, depth: self.depth + 1, keep }
    }

    fn check_depth<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth < NESTING_MAX { Ok(()) } else { Err(self.reader.fail(FaultKind::Nesting)) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.number(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.number(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is not finite"))?;
        self.number(number)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut values = Vec::new();
        loop {
            match list.next_element_seed(self.inner(None)) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return Ok(Value::Array(values)),
                Err(error) => {
                    self.reader.within(|| format!("[{}]", values.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.inner(Some(&key)));
            let value = value.inspect_err(|_| self.reader.within(|| key.clone()))?;
            if object.contains_key(&key) {
                let error = self.reader.fail(FaultKind::TwiceGiven);
                self.reader.within(|| key);
                return Err(error);
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
