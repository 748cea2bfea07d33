//! What a candidate is asked while it learns from rewards.

use std::collections::BTreeSet;

use perennial_data::mix::MixRow;
use perennial_learn::{
    model::Model,
    tokenize::{self, EncodeError},
};
use perennial_reward::Task;
use perennial_types::{Body, Content, Domain, Message, Role, Sample};
use serde_json::{Map, Value};
use tracing::warn;

/// A prompt with all that plugins may know of it.
pub(crate) struct RewardPrompt {
    /// Whose plugins score it.
    pub(crate) domain: Domain,
    /// Up to where the answer begins.
    pub(crate) tokens: Vec<u32>,
    /// What plugins are asked, but for the completions.
    pub(crate) task: Task,
}

/// The prompts of a mix that a plugin scores and that leave room for an answer within the model's context.
///
/// # Errors
/// Where the model has no chat template or its tokenizer fails; what is wrong with a sample alone costs that sample.
pub(crate) fn of_mix(
    rows: &[MixRow],
    model: &Model,
    scored: impl Fn(&Domain) -> bool,
    length_max: usize,
    completion_length_max: usize,
) -> Result<Vec<RewardPrompt>, EncodeError> {
    let length_max = length_max.min(model.config.positions_max.saturating_sub(completion_length_max));
    let (mut asked, mut too_long) = (BTreeSet::new(), 0);
    let mut prompts = Vec::new();
    for MixRow { sample, .. } in rows.iter().filter(|row| scored(&row.sample.domain)) {
        let Some((question, reference)) = question(sample) else { continue };
        let tokens = match tokenize::encode_prompt(&question, &model.tokenizer, &model.template) {
            Ok(tokens) => tokens,
            Err(error @ (EncodeError::NoChatTemplate | EncodeError::Tokenizer(_))) => return Err(error),
            Err(error) => {
                warn!(sample = %sample.id, reason = %error, "prompt not asked");
                continue;
            }
        };
        if tokens.is_empty() || tokens.len() > length_max {
            too_long += 1;
            continue;
        }
        // The same question with the same reference, once as a bare prompt and once with an answer, is one prompt.
        if asked.insert((tokens.clone(), reference.clone())) {
            let labels = vec![("domain".to_owned(), sample.domain.to_string())];
            let task = task(&question, reference, labels, sample.metadata.clone());
            prompts.push(RewardPrompt { domain: sample.domain.clone(), tokens, task });
        }
    }
    if too_long > 0 {
        let context = model.config.positions_max;
        warn!(too_long, length_max, completion_length_max, context, "prompts not asked: they leave no room to answer");
    }
    Ok(prompts)
}

/// What plugins are told of a question.
pub(crate) fn task(
    question: &Content,
    reference: Option<String>,
    labels: Vec<(String, String)>,
    metadata: Map<String, Value>,
) -> Task {
    let prompt = match question {
        Content::Text(text) => vec![Message::new(Role::User, text.as_str())],
        Content::Messages(messages) => messages.clone(),
    };
    Task { prompt, reference, labels, metadata, samples: Vec::new() }
}

/// A sample's question, with the right answer where one is known.
fn question(sample: &Sample) -> Option<(Content, Option<String>)> {
    match &sample.body {
        Body::PromptOnly { prompt } => Some((prompt.clone(), sample.reference.clone())),
        body => {
            let (question, answer) = body.question_and_answer()?;
            Some((question, Some(sample.reference.clone().unwrap_or(answer))))
        }
    }
}
