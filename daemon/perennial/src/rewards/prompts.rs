//! What a candidate is asked while it learns from rewards.

use std::collections::{BTreeMap, BTreeSet};

use perennial_data::mix::{MixRow, Origin};
use perennial_learn::model::Model;
use perennial_reward::Task;
use perennial_types::{Body, Content, Domain, Message, Prompt, Role, Sample, SampleId};
use serde_json::{Map, Value};
use tracing::warn;

use crate::failure::caught;

/// A prompt with all that plugins may know of it.
pub(crate) struct RewardPrompt {
    /// Whose plugins score it.
    pub(crate) domain: Domain,
    /// Up to where the answer begins.
    pub(crate) tokens: Vec<u32>,
    /// What plugins are asked, but for the completions.
    pub(crate) task: Task,
}

/// What is asked of a mix, and what of it is not.
#[derive(Default)]
pub(crate) struct MixPrompts {
    pub(crate) asked: Vec<RewardPrompt>,
    /// The samples that each of them stands for.
    pub(crate) samples: Vec<BTreeSet<SampleId>>,
    /// The samples of scored domains that cannot be asked, with the reason.
    pub(crate) skipped: BTreeMap<SampleId, String>,
}

/// The prompts of a mix that a plugin scores and that leave room for an answer within the model's context. Whatever is wrong
/// with a sample costs that sample alone.
pub(crate) fn of_mix(
    rows: &[MixRow],
    model: &Model,
    scored: impl Fn(&Domain) -> bool,
    length_max: usize,
    completion_length_max: usize,
) -> MixPrompts {
    let length_max = length_max.min(model.config.positions_max.saturating_sub(completion_length_max));
    let (mut known, mut prompts) = (BTreeMap::new(), MixPrompts::default());
    // What the base model said itself is asked of nobody.
    let asked = rows.iter().filter(|row| row.origin != Origin::BaseAnswer);
    for MixRow { sample, .. } in asked.filter(|row| scored(&row.sample.domain)) {
        let Some((question, reference)) = question(sample) else { continue };
        let tokens = match prompt_tokens(&question, model, length_max) {
            Ok(tokens) => tokens,
            Err(reason) => {
                warn!(sample = %sample.id, reason, "prompt not asked");
                prompts.skipped.insert(sample.id, reason);
                continue;
            }
        };
        // The same question with the same reference, once as a bare prompt and once with an answer, is one prompt.
        let place = *known.entry((tokens.clone(), reference.clone())).or_insert(prompts.asked.len());
        if place == prompts.asked.len() {
            let labels = vec![("domain".to_owned(), sample.domain.to_string())];
            let task = task(&question, reference, labels, sample.metadata.clone());
            prompts.asked.push(RewardPrompt { domain: sample.domain.clone(), tokens, task });
            prompts.samples.push(BTreeSet::new());
        }
        prompts.samples[place].insert(sample.id);
    }
    prompts
}

fn prompt_tokens(question: &Prompt, model: &Model, length_max: usize) -> Result<Vec<u32>, String> {
    let encoded = caught(|| model.encode_prompt(question)).map_err(|panicked| panicked.to_string())?;
    let tokens = encoded.map_err(|error| error.to_string())?;
    match tokens.len() {
        0 => Err("the prompt is empty".to_owned()),
        length if length > length_max => {
            Err(format!("the prompt has {length} tokens and leaves no room to answer beyond {length_max}"))
        }
        _ => Ok(tokens),
    }
}

/// What plugins are told of a question.
pub(crate) fn task(
    question: &Prompt,
    reference: Option<String>,
    labels: Vec<(String, String)>,
    metadata: Map<String, Value>,
) -> Task {
    let prompt = match &question.content {
        Content::Text(text) => vec![Message::new(Role::User, text.as_str())],
        Content::Messages(messages) => messages.clone(),
    };
    Task { prompt, reference, labels, metadata, samples: Vec::new() }
}

/// A sample's question, with the right answer where one is known.
fn question(sample: &Sample) -> Option<(Prompt, Option<String>)> {
    match &sample.body {
        Body::PromptOnly { prompt, inputs } => {
            Some((Prompt { content: prompt.clone(), inputs: inputs.clone() }, sample.reference.clone()))
        }
        body => {
            let (question, answer) = body.question_and_answer()?;
            Some((question, Some(sample.reference.clone().unwrap_or(answer))))
        }
    }
}
