use super::{Dialect, Object, fields, inputs};
use crate::{Body, RowError};

/// TRL's preferences with an explicit prompt.
pub(super) struct Preference;

impl Dialect for Preference {
    fn name(&self) -> &'static str {
        "preference (`prompt`, `chosen`, `rejected`)"
    }

    fn claims(&self, row: &Object) -> bool {
        let has = |name| fields::has(row, name);
        has("prompt") && (has("chosen") || has("rejected"))
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let prompt = fields::take_content(row, "prompt")?;
        let (chosen, rejected) = (fields::take_content(row, "chosen")?, fields::take_content(row, "rejected")?);
        let inputs = inputs::take_beside(row, [&prompt, &chosen, &rejected])?;
        Ok(Body::Preference { prompt: Some(prompt), chosen, rejected, inputs })
    }
}
