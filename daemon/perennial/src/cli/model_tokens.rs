//! What is to be known of a model's tokens: which end a generation, and which it cannot read.

use perennial_learn::model::Model;

/// Tokens that are named one by one; there may be hundreds.
const NAMED_MAX: usize = 8;

/// Which tokens end a generation, each with its reasons.
pub(super) fn ends(model: &Model) -> String {
    let ends: Vec<String> = model.tokenizer.ends().iter().map(ToString::to_string).collect();
    match ends.is_empty() {
        true => "no token ends a generation: it runs to its limit or to a stop text".to_owned(),
        false => format!("a generation ends with {}", listed(ends)),
    }
}

/// Which tokens of the tokenizer the model has no row for, where there are any.
pub(super) fn without_row(model: &Model) -> Option<String> {
    let lacking = model.tokenizer.tokens_without_row();
    let named: Vec<String> = lacking.into_iter().map(|(id, text)| format!("{text} ({id})")).collect();
    let rows = model.config.vocab_size;
    let told =
        |named| format!("the embedding has {rows} rows, and none for {named}: what holds such a token is refused");
    (!named.is_empty()).then(|| told(listed(named)))
}

fn listed(tokens: Vec<String>) -> String {
    let more = tokens.len().saturating_sub(NAMED_MAX);
    let named = tokens.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}
