//! Answers of the base model itself to short prompts, which are a share of every mix, so that what the base knew is in the loss and
//! not only in the gate. This is rehearsal without the old data, on the model's own answers, as in Robins, "Catastrophic Forgetting,
//! Rehearsal and Pseudorehearsal" (1995), and Huang et al., "Mitigating Catastrophic Forgetting in Large Language Models with
//! Self-Synthesized Rehearsal" (2024).
//!
//! They are no samples of the catalogue: never held out, never new, never consumed.

mod kept;
mod prompts;
mod walk;

use std::collections::BTreeSet;

use perennial_data::{
    mix::Origin,
    replay::{Budget, ReplayRow},
};
use perennial_learn::model::Model;
use perennial_types::{Body, Content, Domain, Fingerprint, Fingerprinter, Row, Sample};
use serde_json::json;

use self::{kept::Kept, walk::take};
pub(crate) use self::{kept::standing, prompts::prompts};
use crate::{
    config::{Config, Objective},
    ports::{Context, Stop},
};

/// An answer with its prompt: a sample that is made anew for each mix, with what a mix asks of it.
pub(crate) struct BaseAnswer {
    pub(crate) sample: Sample,
    pub(crate) row: ReplayRow,
}

/// What a mix wants of them.
pub(crate) struct Wanted<'a> {
    /// How many tokens, prompts counted.
    pub(crate) tokens: f64,
    /// How many one of them has, as the mix counts.
    pub(crate) length: &'a dyn Fn(&ReplayRow) -> u64,
    /// Whether a suite asks this question, so that it must not be trained on.
    pub(crate) is_asked: &'a dyn Fn(&Fingerprint) -> bool,
    /// Of the order in which prompts are taken.
    pub(crate) seed: u64,
}

/// The answers for a mix, in the order of lots of their prompts. The base model is asked what it was not asked yet, no more of it
/// than the mix takes, but for what shares its batch. `None` where the work is to stop; what was answered by then is kept.
///
/// # Errors
/// Where the prompts cannot be read, generation fails, or the system refuses.
pub(crate) fn chosen(
    context: &Context,
    model: &Model,
    config: &Config,
    wanted: &Wanted<'_>,
    stop: &Stop,
) -> anyhow::Result<Option<Vec<BaseAnswer>>> {
    if fraction(config) == 0.0 {
        return Ok(Some(Vec::new()));
    }
    let order = in_order(prompts(&config.replay.base_answers)?, wanted);
    let model = model.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let mut kept = Kept::open(context, &model, config, stop)?;
    let made = |prompt: &str, answer: &str| {
        let answer = base_answer(&model, prompt, answer)?;
        let tokens = (wanted.length)(&answer.row);
        Some((answer, tokens))
    };
    take(&order, Budget::of(wanted.tokens), &mut kept, made)
}

/// The share of the mix that they are: none where no objective could learn from them.
pub(crate) fn fraction(config: &Config) -> f64 {
    let learns = |objective: Objective| {
        objective.kind().rows().is_some() && objective.kind().kinds().contains(&perennial_types::Kind::PromptCompletion)
    };
    match config.stages().iter().any(|stage| learns(stage.objective)) {
        true => config.replay.base_answers.ratio,
        false => 0.0,
    }
}

/// The prompts that may be trained on, by lots.
fn in_order(prompts: BTreeSet<String>, wanted: &Wanted<'_>) -> Vec<String> {
    let question = |prompt: &String| {
        let body = Body::PromptOnly { prompt: Content::Text(prompt.clone()), inputs: Default::default() };
        body.question_fingerprint()
    };
    let mut order: Vec<String> = prompts.into_iter().filter(|prompt| !(wanted.is_asked)(&question(prompt))).collect();
    order.sort_by_cached_key(|prompt| {
        let lot = Fingerprinter::new().part(b"perennial base answers 1").part(&wanted.seed.to_le_bytes());
        lot.part(prompt.as_bytes()).finish()
    });
    order
}

fn base_answer(model: &Model, prompt: &str, answer: &str) -> Option<BaseAnswer> {
    let row = Row::from_value(json!({ "prompt": prompt, "completion": answer })).ok()?;
    let domain = Domain::new(Origin::BaseAnswer.as_str()).ok()?;
    let sample = Sample::from_row(row, &domain, "the base model", 0);
    let tokens = model.tokenizer.encode(&sample.body.text()).ok()?.len();
    let row = ReplayRow { tokens: u32::try_from(tokens).ok(), ..ReplayRow::new(sample.id, domain, 0, "") };
    Some(BaseAnswer { sample, row })
}
