use perennial_types::{Body, Content, Message, Role, Sample};

use crate::{Item, Metric, Suite, SuiteError, SuiteOptions, metric};

/// References longer than this, by the median of their words, are judged by their likelihood: two good long answers
/// share few words, so overlap says little about them.
const SHORT_WORDS_MAX: usize = 32;

/// The suite of a domain's held-out samples. Samples without one right answer (preferences, bare prompts) are left out.
/// Where there are more than [`SuiteOptions::items_max`], those with the smallest ids are kept: ids are hashes, so this
/// is a random subset, and it stays nearly the same as samples are added.
///
/// Without a configured metric, it is chosen from the references: plain text → perplexity; JSON objects →
/// `json_field_f1`; a median over 32 words → perplexity; single words → `exact_match`; else `token_f1`.
///
/// # Errors
/// As [`Suite::new`]; [`SuiteError::Empty`] where no sample has a right answer.
pub fn auto_suite(options: SuiteOptions, samples: &[Sample]) -> Result<Suite, SuiteError> {
    let mut samples: Vec<&Sample> = samples.iter().collect();
    samples.sort_by_key(|sample| sample.id);
    let items = samples
        .into_iter()
        .filter_map(|sample| item(sample.id.to_string(), &sample.body, sample.reference.as_deref()))
        .take(options.items_max)
        .collect();
    Suite::new(options, items)
}

/// What a body asks, where it has one right answer; a reference beside the body overrides the answer in it.
pub(crate) fn item(id: String, body: &Body, reference: Option<&str>) -> Option<Item> {
    let (question, reference, body) = match (body, reference) {
        (Body::Text { text }, _) => (Content::Text(String::new()), text.clone(), body.clone()),
        (Body::PromptOnly { prompt }, Some(reference)) => {
            (prompt.clone(), reference.to_owned(), answered(prompt, reference))
        }
        _ => {
            let (question, answer) = body.question_and_answer()?;
            (question, reference.map_or(answer, str::to_owned), body.clone())
        }
    };
    Some(Item { id, question, reference, body })
}

fn answered(prompt: &Content, reference: &str) -> Body {
    let completion = match prompt {
        Content::Text(_) => Content::Text(reference.to_owned()),
        Content::Messages(_) => Content::Messages(vec![Message::new(Role::Assistant, reference)]),
    };
    Body::PromptCompletion { prompt: prompt.clone(), completion }
}

pub(crate) fn choose_metric(items: &[Item]) -> Metric {
    if items.iter().any(|item| matches!(item.body, Body::Text { .. })) {
        return Metric::Perplexity;
    }
    if items.iter().all(|item| metric::is_object(&item.reference)) {
        return Metric::JsonFieldF1;
    }
    let mut words: Vec<usize> = items.iter().map(|item| item.reference.split_whitespace().count()).collect();
    words.sort_unstable();
    // An empty reference can be right only by its likelihood; the metrics on answers refuse it.
    if words.first() == Some(&0) || words.get(words.len() / 2).is_some_and(|median| *median > SHORT_WORDS_MAX) {
        return Metric::Perplexity;
    }
    match words.last() {
        Some(1) => Metric::ExactMatch,
        _ => Metric::TokenF1,
    }
}
