use super::{Dialect, Object, fields, inputs};
use crate::{Body, RowError};

/// TRL's preferences in which both answers hold the prompt themselves.
pub(super) struct PreferenceImplicit;

impl Dialect for PreferenceImplicit {
    fn name(&self) -> &'static str {
        "implicit preference (`chosen`, `rejected`)"
    }

    fn claims(&self, row: &Object) -> bool {
        let has = |name| fields::has(row, name);
        !has("prompt") && (has("chosen") || has("rejected"))
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let (chosen, rejected) = (fields::take_content(row, "chosen")?, fields::take_content(row, "rejected")?);
        let inputs = inputs::take_beside(row, [&chosen, &rejected])?;
        Ok(Body::Preference { prompt: None, chosen, rejected, inputs })
    }
}
