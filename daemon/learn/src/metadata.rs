use std::collections::BTreeMap;

use candle_core::quantized::gguf_file::Value;

/// The key-value part of a GGUF file, read by type.
#[derive(Clone, Copy)]
pub(crate) struct Metadata<'a>(pub(crate) &'a BTreeMap<String, Value>);

/// A key that is missing, or that holds another type than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyError {
    pub(crate) key: String,
    /// As the rest of a sentence.
    pub(crate) problem: String,
}

impl KeyError {
    pub(crate) fn new(key: &str, problem: String) -> Self {
        Self { key: key.to_owned(), problem }
    }
}

impl<'a> Metadata<'a> {
    pub(crate) fn text(self, key: &str) -> Result<Option<&'a str>, KeyError> {
        self.read(key, "a text", |value| value.to_string().ok().map(String::as_str))
    }

    pub(crate) fn number(self, key: &str) -> Result<Option<usize>, KeyError> {
        self.read(key, "a number that is not negative", as_number)
    }

    pub(crate) fn real(self, key: &str) -> Result<Option<f64>, KeyError> {
        self.read(key, "a number", |value| match value {
            // The shortest decimal that means this f32: 1e-5 was meant, not 9.999999747378752e-6.
            Value::F32(number) => number.to_string().parse().ok(),
            Value::F64(number) => Some(*number),
            _ => None,
        })
    }

    pub(crate) fn flag(self, key: &str) -> Result<Option<bool>, KeyError> {
        self.read(key, "true or false", |value| value.to_bool().ok())
    }

    pub(crate) fn texts(self, key: &str) -> Result<Option<Vec<&'a str>>, KeyError> {
        self.read(key, "a list of texts", |value| {
            value.to_vec().ok()?.iter().map(|text| text.to_string().ok().map(String::as_str)).collect()
        })
    }

    pub(crate) fn numbers(self, key: &str) -> Result<Option<Vec<usize>>, KeyError> {
        self.read(key, "a list of numbers", |value| value.to_vec().ok()?.iter().map(as_number).collect())
    }

    fn read<T>(
        self,
        key: &str,
        wanted: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, KeyError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let problem = || format!("must be {wanted}, not {:?}", value.value_type());
        convert(value).map(Some).ok_or_else(|| KeyError { key: key.to_owned(), problem: problem() })
    }
}

/// What a key without which nothing works holds.
pub(crate) fn required<T>(key: &str, value: Option<T>) -> Result<T, KeyError> {
    value.ok_or_else(|| KeyError { key: key.to_owned(), problem: "is missing".to_owned() })
}

fn as_number(value: &Value) -> Option<usize> {
    match *value {
        Value::I8(number) => number.try_into().ok(),
        Value::I16(number) => number.try_into().ok(),
        Value::I32(number) => number.try_into().ok(),
        Value::I64(number) => number.try_into().ok(),
        Value::U64(number) => number.try_into().ok(),
        Value::U8(_) | Value::U16(_) | Value::U32(_) => usize::try_from(value.to_u64().ok()?).ok(),
        _ => None,
    }
}
