//! The forms that rows come in: one file each, and one line in [`DIALECTS`].

mod alpaca;
mod fields;
mod inputs;
mod messages;
mod openai_preference;
mod preference;
mod preference_implicit;
mod prompt_completion;
mod prompt_only;
mod sharegpt;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Map, Value};

pub(crate) use self::fields::{take_scalar, take_text, type_name, wrong_type};
use crate::{Body, RowError};

/// The fields of a row.
pub(crate) type Object = Map<String, Value>;

/// One form that rows come in.
///
/// Whether a row is of this form is told by its fields' names alone, so that a row with a mistake in one of them is refused
/// by that field. Exactly one dialect must claim a row: two would each read something else out of it.
pub(crate) trait Dialect: Sync {
    /// What it is called in refusals, with the fields that it is known by.
    fn name(&self) -> &'static str;

    /// Whether the row is of this form.
    fn claims(&self, row: &Object) -> bool;

    /// Takes what the row teaches out of it. What is left becomes metadata.
    ///
    /// # Errors
    /// A [`RowError`] that names the field and says how to mend it.
    fn read(&self, row: &mut Object) -> Result<Body, RowError>;
}

/// Every dialect, as refusals list them.
const DIALECTS: &[&dyn Dialect] = &[
    &messages::Messages,
    &prompt_completion::PromptCompletion,
    &prompt_only::PromptOnly,
    &text::Text,
    &preference::Preference,
    &preference_implicit::PreferenceImplicit,
    &openai_preference::OpenAiPreference,
    &alpaca::Alpaca,
    &sharegpt::ShareGpt,
];

/// What a row teaches, by the one dialect that claims it.
///
/// # Errors
/// [`RowError::Dialect`] where there is none, [`RowError::Ambiguous`] where there are several, or the dialect's refusal.
pub(crate) fn read(row: &mut Object) -> Result<Body, RowError> {
    let claiming: Vec<&dyn Dialect> = DIALECTS.iter().copied().filter(|dialect| dialect.claims(row)).collect();
    match claiming[..] {
        [dialect] => dialect.read(row),
        [] => Err(RowError::Dialect { found: fields::names(row), known: names(DIALECTS, ", ") }),
        _ => Err(RowError::Ambiguous { found: fields::names(row), claiming: names(&claiming, " and as ") }),
    }
}

fn names(dialects: &[&dyn Dialect], between: &str) -> String {
    dialects.iter().map(|dialect| dialect.name()).collect::<Vec<_>>().join(between)
}
