use serde_json::Value;

use super::{Dialect, Object, fields, inputs};
use crate::{Body, Content, RowError};

/// OpenAI's files for preference fine-tuning.
pub(super) struct OpenAiPreference;

impl Dialect for OpenAiPreference {
    fn name(&self) -> &'static str {
        "OpenAI's preference (`input`, `preferred_output`, `non_preferred_output`)"
    }

    fn claims(&self, row: &Object) -> bool {
        fields::has(row, "input") && fields::has(row, "preferred_output")
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let mut input = match row.remove("input") {
            Some(Value::Object(input)) => input,
            other => return Err(fields::wrong_type("input", "an object with `messages`", &other.unwrap_or_default())),
        };
        let prompt = Some(Content::Messages(fields::take_messages(&mut input, "messages")?));
        let chosen = Content::Messages(fields::take_messages(row, "preferred_output")?);
        let rejected = Content::Messages(fields::take_messages(row, "non_preferred_output")?);
        let inputs = inputs::take(&mut input)?;
        Ok(Body::Preference { prompt, chosen, rejected, inputs })
    }
}
