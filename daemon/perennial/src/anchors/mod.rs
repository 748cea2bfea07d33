//! Anchors: answers of the base model itself, which are a share of every mix, so that what the base knew is in the loss and not
//! only in the gate. This is data-free rehearsal with the model's own answers, as in Robins, "Catastrophic Forgetting, Rehearsal and
//! Pseudorehearsal" (1995), and Huang et al., "Mitigating Catastrophic Forgetting in Large Language Models with Self-Synthesized
//! Rehearsal" (2024).
//!
//! They are no samples of the catalogue: never held out, never new, never consumed.

mod kept;
mod prompts;

use perennial_data::{mix::Origin, replay::ReplayRow};
use perennial_learn::model::Model;
use perennial_types::{Domain, Row, Sample};
use serde_json::json;

pub(crate) use self::{kept::standing, prompts::prompts};
use crate::{
    config::{Config, Objective},
    ports::{Context, Stop},
};

/// What one anchor is: a sample that is made from its answer anew for each mix, with what a draw asks.
pub(crate) struct Anchor {
    pub(crate) sample: Sample,
    pub(crate) row: ReplayRow,
}

/// The anchors that a mix may take, the base model's answers to what it was not asked yet included; none where the configuration
/// wants none. `None` where the work is to stop.
///
/// # Errors
/// Where the prompts cannot be read, generation fails, or the system refuses.
pub(crate) fn ready(
    context: &Context,
    model: &Model,
    config: &Config,
    stop: &Stop,
) -> anyhow::Result<Option<Vec<Anchor>>> {
    if fraction(config) == 0.0 {
        return Ok(Some(Vec::new()));
    }
    let prompts = prompts(&config.replay.anchor)?;
    let model = model.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let Some(answers) = kept::ready(context, &model, &prompts, config, stop)? else {
        return Ok(None);
    };
    Ok(Some(answers.iter().filter_map(|(prompt, answer)| anchor(&model, prompt, answer)).collect()))
}

/// The share of the mix that is anchors: none where no objective could learn from them.
pub(crate) fn fraction(config: &Config) -> f64 {
    let learns = |objective: Objective| {
        objective.kind().rows().is_some() && objective.kind().kinds().contains(&perennial_types::Kind::PromptCompletion)
    };
    match config.stages().iter().any(|stage| learns(stage.objective)) {
        true => config.replay.anchor.ratio,
        false => 0.0,
    }
}

fn anchor(model: &Model, prompt: &str, answer: &str) -> Option<Anchor> {
    let row = Row::from_value(json!({ "prompt": prompt, "completion": answer })).ok()?;
    let domain = Domain::new(Origin::Anchor.as_str()).ok()?;
    let sample = Sample::from_row(row, &domain, "the base model", 0);
    let tokens = model.tokenizer.encode(&sample.body.text()).ok()?.len();
    let row = ReplayRow { tokens: u32::try_from(tokens).ok(), ..ReplayRow::new(sample.id, domain, 0, "") };
    Some(Anchor { sample, row })
}
