#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::{
    Body, Domain, RowError,
    dialect::{self, take_scalar, take_text, type_name, wrong_type},
    json,
};

/// One line of input, judged: what it teaches and what it says of itself. See [`Row::parse`] for the forms.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it teaches.
    pub body: Body,
    /// The stratum, where the row names one.
    pub domain: Option<Domain>,
    /// The right answer for suites and rewards.
    pub reference: Option<String>,
    /// The sender's own id.
    pub external_id: Option<String>,
    /// Whom the data is about.
    pub subject: Option<String>,
    /// Every field that is none of the above.
    pub metadata: Map<String, Value>,
}

/// Fields that are text: a number in one of them keeps the digits that were written (`1.10`, an id of 39 digits).
const TEXT_FIELDS: [&str; 3] = ["reference", "id", "subject"];

impl Row {
    /// Reads one line in any of the forms of `dialect/`, among them those of TRL's datasets and of OpenAI's fine-tuning files.
    /// Prompts and answers are strings or lists of messages, beside which `tools`, `documents` and `chat_template_kwargs` are
    /// what the chat template is given besides. `domain`, `reference`, `id`, `subject` and `metadata` are optional; any further field joins the metadata.
    ///
    /// A number as `reference`, `id` or `subject` is kept digit by digit. Anywhere else an integer beyond 64 bits is refused,
    /// since it would be rounded; so is a key that is given twice in one object, and nesting beyond
    /// [`NESTING_MAX`](crate::NESTING_MAX).
    ///
    /// # Errors
    /// A [`RowError`] that names the field and says how to mend it.
    pub fn parse(line: &str) -> Result<Self, RowError> {
        Self::from_value(json::parse(line, &TEXT_FIELDS)?)
    }

    /// As [`parse`](Self::parse), from JSON that is already read.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_value(value: Value) -> Result<Self, RowError> {
        let mut object = match value {
            Value::Object(object) => object,
            other => return Err(RowError::NotAnObject(type_name(&other))),
        };
        let body = dialect::read(&mut object)?;
        let domain = take_text(&mut object, "domain")?.map(|name| Domain::new(&name)).transpose()?;
        let reference = take_scalar(&mut object, "reference");
        let external_id = take_scalar(&mut object, "id");
        let subject = take_scalar(&mut object, "subject");
        let mut metadata = match object.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(Value::Null) | None => Map::new(),
            Some(other) => return Err(wrong_type("metadata", "an object", &other)),
        };
        metadata.extend(object.into_iter().filter(|(_, value)| !value.is_null()));
        Ok(Self { body, domain, reference, external_id, subject, metadata })
    }
}
