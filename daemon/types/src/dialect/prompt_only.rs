use super::{Dialect, Object, fields, inputs};
use crate::{Body, RowError};

/// TRL's prompts for rollouts. Beside what is learned in another form, `prompt` is metadata.
pub(super) struct PromptOnly;

impl Dialect for PromptOnly {
    fn name(&self) -> &'static str {
        "a prompt alone (`prompt`)"
    }

    fn claims(&self, row: &Object) -> bool {
        let has = |name| fields::has(row, name);
        has("prompt")
            && !["messages", "completion", "chosen", "rejected", "text", "preferred_output"].into_iter().any(has)
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let prompt = fields::take_content(row, "prompt")?;
        let inputs = inputs::take_beside(row, [&prompt])?;
        Ok(Body::PromptOnly { prompt, inputs })
    }
}
