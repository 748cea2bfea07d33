use super::{Dialect, Object, fields};
use crate::{Body, RowError};

/// TRL's plain text.
pub(super) struct Text;

impl Dialect for Text {
    fn name(&self) -> &'static str {
        "text (`text`)"
    }

    fn claims(&self, row: &Object) -> bool {
        fields::has(row, "text")
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let text = fields::take_text(row, "text")?.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(fields::nothing_to_learn("text"));
        }
        Ok(Body::Text { text })
    }
}
