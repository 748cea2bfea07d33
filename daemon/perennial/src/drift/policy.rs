//! How far a champion is from the models before it: what it says to prompts that never change. Measured once for each champion, and
//! kept.

use std::{collections::BTreeSet, ops::ControlFlow};

use perennial_durable as durable;
use perennial_learn::{
    adapter::Adapter as Weights,
    generate::{self, GenerateOptions},
    model::Model,
    tokenize::Encoded,
};
use perennial_registry::Adapter;
use perennial_types::{AdapterId, Content, Prompt};

use super::weights;
use crate::{
    answers::PolicyDrift,
    base_answers, clock,
    config::BaseAnswers,
    cycle_folder::read_json,
    engine::Engine,
    ports::{Context, Stop},
    state::StateDir,
};

/// Prompts that are asked, of those that ship.
const PROMPTS: usize = 24;

/// Tokens of a completion.
const COMPLETION_TOKENS_MAX: usize = 32;

/// Longer prompts are not asked.
const PROMPT_TOKENS_MAX: usize = 256;

/// Completions that are compared between two looks at the stop flag.
const TOGETHER: usize = 4;

/// Champions whose figures are kept.
const KEPT_MAX: usize = 200;

/// Of the draws of all completions: the same for all champions.
const SEED: u64 = 1;

/// What is kept of this champion.
pub(super) fn kept(state: &StateDir, champion: &AdapterId) -> anyhow::Result<Option<PolicyDrift>> {
    Ok(all(state)?.into_iter().find(|figures| figures.adapter == *champion))
}

fn all(state: &StateDir) -> anyhow::Result<Vec<PolicyDrift>> {
    // What another version wrote is measured anew.
    Ok(read_json(&path(state)).unwrap_or_default().unwrap_or_default())
}

fn path(state: &StateDir) -> std::path::PathBuf {
    state.drift().join("policy.json")
}

/// Measures a champion and keeps the figures. `None` where the work is to stop.
///
/// # Errors
/// Where a model cannot be read, or generation fails.
pub(super) fn measure(
    context: &Context,
    engine: &Engine,
    champion: &Adapter,
    stop: &Stop,
) -> anyhow::Result<Option<PolicyDrift>> {
    let config = context.config.current();
    let model = engine.model(&config.model)?.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let previous = previous(context, &champion.id)?;
    let ours = weights::load(context, Some(champion), &model)?;
    let theirs = weights::load(context, previous.as_ref(), &model)?;
    let prompts = prompts(&model)?;
    let probe = Probe { model: &model, prompts: &prompts, stop };
    let Some(own) = probe.completions(ours.as_ref())? else { return Ok(None) };
    let Some([_, entropy]) = probe.compare([ours.as_ref(), ours.as_ref()], &own)? else { return Ok(None) };
    let Some(kl_base) = probe.kl(None, ours.as_ref())? else { return Ok(None) };
    let kl_previous = match theirs {
        None => kl_base,
        theirs => match probe.kl(theirs.as_ref(), ours.as_ref())? {
            Some(kl) => kl,
            None => return Ok(None),
        },
    };
    let figures = PolicyDrift {
        adapter: champion.id.clone(),
        measured_ms: clock::now_ms(),
        kl_base,
        previous: previous.map(|adapter| adapter.id),
        kl_previous,
        entropy,
        distinct: [1, 2, 3].map(|n| distinct(&own, n)),
    };
    let mut known = all(&context.state)?;
    known.retain(|other| other.adapter != figures.adapter);
    known.push(figures.clone());
    known.drain(..known.len().saturating_sub(KEPT_MAX));
    durable::create_folder_durably(&context.state.drift())?;
    durable::write_durably(&path(&context.state), &serde_json::to_vec(&known)?)?;
    Ok(Some(figures))
}

/// The champion before this one; `None` is the base model, also where its files are gone.
fn previous(context: &Context, champion: &AdapterId) -> anyhow::Result<Option<Adapter>> {
    let promotions = context.registry.promotions()?;
    let last = promotions.into_iter().rev().find(|promotion| promotion.to.as_ref() == Some(champion));
    let Some(previous) = last.and_then(|promotion| promotion.from) else { return Ok(None) };
    Ok(context.registry.adapter(&previous)?.filter(|adapter| context.state.adapter(&adapter.id).exists()))
}

/// Prompts of those that ship, evenly chosen, as the model reads them.
fn prompts(model: &Model) -> anyhow::Result<Vec<Vec<u32>>> {
    let shipped: BTreeSet<String> = base_answers::prompts(&BaseAnswers::default())?;
    let step = (shipped.len() / PROMPTS).max(1);
    let room = PROMPT_TOKENS_MAX.min(model.config.positions_max.saturating_sub(COMPLETION_TOKENS_MAX));
    let encoded = |prompt: String| {
        let prompt = Prompt { content: Content::Text(prompt), inputs: Default::default() };
        model.encode_prompt(&prompt).ok().filter(|tokens| (1..=room).contains(&tokens.len()))
    };
    Ok(shipped.into_iter().step_by(step).take(PROMPTS).filter_map(encoded).collect())
}

struct Probe<'a> {
    model: &'a Model,
    prompts: &'a [Vec<u32>],
    stop: &'a Stop,
}

impl Probe<'_> {
    /// KL(from ‖ to) per token, on completions of `from`.
    fn kl(&self, from: Option<&Weights>, to: Option<&Weights>) -> anyhow::Result<Option<f64>> {
        let Some(completions) = self.completions(from)? else { return Ok(None) };
        Ok(self.compare([from, to], &completions)?.map(|[kl, _]| kl))
    }

    /// What an adapter says to the prompts, drawn at temperature 1.
    fn completions(&self, adapter: Option<&Weights>) -> anyhow::Result<Option<Vec<Encoded>>> {
        let options = GenerateOptions {
            max_new_tokens: COMPLETION_TOKENS_MAX,
            temperature: 1.0,
            seed: SEED,
            ..GenerateOptions::default()
        };
        let completions = generate::generate(self.model, adapter, self.prompts, &options, &mut |_, _| {
            if self.stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if self.stop.is_set() {
            return Ok(None);
        }
        let whole = |(prompt, completion): (&Vec<u32>, generate::Completion)| {
            let supervised = [vec![false; prompt.len()], vec![true; completion.tokens.len()]].concat();
            Encoded { tokens: [prompt.as_slice(), &completion.tokens].concat(), supervised }
        };
        Ok(Some(self.prompts.iter().zip(completions).map(whole).collect()))
    }

    /// KL(from ‖ to) and the entropy of `from`, per token.
    fn compare(&self, adapters: [Option<&Weights>; 2], completions: &[Encoded]) -> anyhow::Result<Option<[f64; 2]>> {
        let (mut kl, mut entropy, mut tokens) = (0.0, 0.0, 0);
        for together in completions.chunks(TOGETHER) {
            if self.stop.is_set() {
                return Ok(None);
            }
            for found in generate::divergence(self.model, adapters, together)? {
                kl += found.kl_sum;
                entropy += found.entropy_sum;
                tokens += found.tokens;
            }
        }
        let tokens = tokens.max(1) as f64;
        Ok(Some([kl / tokens, entropy / tokens]))
    }
}

/// The share of different ones among the runs of `n` tokens (Li and others, "A Diversity-Promoting Objective Function for Neural
/// Conversation Models", 2016); 1 where there is none.
fn distinct(completions: &[Encoded], n: usize) -> f64 {
    let said = |encoded: &Encoded| {
        let begin = encoded.supervised.iter().take_while(|supervised| !**supervised).count();
        encoded.tokens[begin..].windows(n).map(<[u32]>::to_vec).collect::<Vec<_>>()
    };
    let runs: Vec<Vec<u32>> = completions.iter().flat_map(said).collect();
    let different: BTreeSet<&Vec<u32>> = runs.iter().collect();
    if runs.is_empty() { 1.0 } else { different.len() as f64 / runs.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_runs_count_once() {
        let said = |tokens: &[u32]| Encoded {
            tokens: [&[9, 9][..], tokens].concat(),
            supervised: [vec![false; 2], vec![true; tokens.len()]].concat(),
        };
        let completions = [said(&[1, 2, 1, 2]), said(&[1, 2])];
        assert!((distinct(&completions, 1) - 2.0 / 6.0).abs() < 1e-12);
        assert!((distinct(&completions, 2) - 2.0 / 4.0).abs() < 1e-12);
        assert!((distinct(&[], 2) - 1.0).abs() < 1e-12);
    }
}
