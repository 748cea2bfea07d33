//! What detectors are told of samples.

use std::collections::BTreeMap;

use perennial_drift::{Row, token_bins};
use perennial_learn::{embed, tokenize::Tokenizer};
use perennial_registry::SampleRecord;
use perennial_types::{Body, Content, Message, Sample, SampleId, shortened};
use serde_json::Value;

use super::windows::Known;
use crate::{state::StateDir, stored::read_samples};

/// Samples whose texts are in memory together.
const TOGETHER: usize = 64;

/// A longer text counts as far as this, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 16;

/// A longer name of a label or a tool counts as far as this, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Calls of tools that are looked at in one conversation.
const CALLS_MAX: usize = 32;

/// The rows of these samples, in their order. A sample without a text that becomes tokens has none.
///
/// # Errors
/// Where a segment cannot be read.
pub(super) fn rows(
    state: &StateDir,
    records: &[SampleRecord],
    mut vectors: BTreeMap<SampleId, Vec<f32>>,
    known: &Known,
    tokenizer: &Tokenizer,
) -> anyhow::Result<Vec<Row>> {
    let mut by_segment: Vec<&SampleRecord> = records.iter().collect();
    by_segment.sort_by_key(|record| (record.segment.clone(), record.id));
    let mut rows: BTreeMap<SampleId, Row> = BTreeMap::new();
    for together in by_segment.chunks(TOGETHER) {
        for (id, sample) in read_samples(state, together.iter().copied())? {
            rows.insert(id, row(&sample, vectors.remove(&id), tokenizer));
        }
    }
    let near: Vec<(&SampleId, &[f32])> = known.0.iter().map(|(id, vector)| (id, vector.as_slice())).collect();
    let others: Vec<&[f32]> = near.iter().map(|(_, vector)| *vector).collect();
    for (id, row) in &mut rows {
        row.novelty = row.vector.as_ref().and_then(|vector| {
            let distances = embed::distances(vector, &others);
            let of_others = near.iter().zip(distances).filter(|((other, _), _)| *other != id);
            of_others.map(|(_, distance)| distance).min_by(f32::total_cmp)
        });
    }
    Ok(records.iter().filter_map(|record| rows.remove(&record.id)).collect())
}

fn row(sample: &Sample, vector: Option<Vec<f32>>, tokenizer: &Tokenizer) -> Row {
    let text = sample.body.text();
    let tokens = tokenizer.encode(beginning(&text, TEXT_BYTES_MAX)).unwrap_or_default();
    Row {
        vector,
        tokens: tokens.len() as u32,
        bins: token_bins(&tokens),
        label: label(sample),
        calls: calls(&sample.body),
        ..Row::new(sample.domain.clone())
    }
}

/// A text up to so many bytes, in whole characters.
fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The field `label` of the row, where it is a text, a number or a truth value.
fn label(sample: &Sample) -> Option<String> {
    let label = match sample.metadata.get("label")? {
        Value::String(label) => label.clone(),
        label @ (Value::Bool(_) | Value::Number(_)) => label.to_string(),
        _ => return None,
    };
    Some(shortened(&label, NAME_CHARS_MAX))
}

/// The tools that are called, in OpenAI's form; `None` of what is no conversation.
fn calls(body: &Body) -> Option<Vec<String>> {
    let messages: &[Message] = match body {
        Body::Messages { messages, .. } | Body::PromptCompletion { completion: Content::Messages(messages), .. } => {
            messages
        }
        _ => return None,
    };
    let of = |message: &Message| {
        let calls = message.fields().get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
        let functions = calls.into_iter().map(|call| call.get("function").cloned().unwrap_or(call));
        functions.chain(message.fields().get("function_call").cloned()).collect::<Vec<Value>>()
    };
    let names = messages.iter().flat_map(of).filter_map(|function| Some(function.get("name")?.as_str()?.to_owned()));
    Some(names.take(CALLS_MAX).map(|name| shortened(&name, NAME_CHARS_MAX)).collect())
}

#[cfg(test)]
mod tests {
    use perennial_types::{Domain, Row as Line};

    use super::*;

    fn sample(line: &str) -> Sample {
        Sample::from_row(Line::parse(line).unwrap(), &Domain::default(), "test", 0)
    }

    #[test]
    fn labels_are_read_where_rows_have_them() {
        let of = |field: &str| label(&sample(&format!(r#"{{"prompt": "a", "completion": "b", {field}}}"#)));
        assert_eq!(of(r#""label": "good""#).as_deref(), Some("good"));
        assert_eq!(of(r#""label": true"#).as_deref(), Some("true"));
        assert_eq!(of(r#""label": {"a": 1}"#), None);
        assert_eq!(of(r#""other": "good""#), None);
    }

    #[test]
    fn calls_of_tools_are_read_in_both_of_their_forms() {
        let line = |turn: &str| format!(r#"{{"messages": [{{"role": "user", "content": "q"}}, {turn}]}}"#);
        let turn = r#"{"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "search", "arguments": {}}}]}"#;
        assert_eq!(calls(&sample(&line(turn)).body), Some(vec!["search".to_owned()]));
        let older = r#"{"role": "assistant", "function_call": {"name": "refund", "arguments": "{}"}}"#;
        assert_eq!(calls(&sample(&line(older)).body), Some(vec!["refund".to_owned()]));
        assert_eq!(calls(&sample(&line(r#"{"role": "assistant", "content": "a"}"#)).body), Some(vec![]));
        assert_eq!(calls(&sample(r#"{"prompt": "a", "completion": "b"}"#).body), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!((beginning("aüb", 2), beginning("aüb", 3), beginning("aüb", 9)), ("a", "aü", "aüb"));
    }
}
