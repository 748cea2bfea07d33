//! By how much the loss of samples rose with the last training that was accepted, for the replay policy that asks. Kept in the cycle's
//! folder as it is reached, so that a cycle that is resumed draws as it would have.

use std::collections::BTreeMap;

use anyhow::Context as _;
use perennial_data::mix::Draft;
use perennial_durable::{self as durable, failpoint};
use perennial_learn::{adapter::Adapter, generate, model::Model, tokenize::Encoded};
use perennial_types::{AdapterId, Sample, SampleId};
use serde::{Deserialize, Serialize};

use super::{Scope, side::Side};
use crate::{answers::adapter_name, cycle_folder::read_json, stored, telemetry::ItemsJudged};

/// How many times the tokens that are to be replayed are scored. Aljundi et al. choose 10 of 50; each costs two forward passes here.
const TIMES: f64 = 3.0;

/// Samples that are scored between two looks at the stop flag, and lost to a crash.
const BATCH: usize = 64;

/// `replay_losses.json`
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Losses {
    /// The champion when the cycle began.
    champion: Option<AdapterId>,
    /// What the champion was trained from; `None` is the base model.
    before: Option<AdapterId>,
    /// How many of the samples were scored, from the first on.
    scored: usize,
    samples: Vec<SampleLosses>,
}

/// Mean losses per token, in nats; `None` where a sample has none. In single precision, which JSON keeps to the bit.
#[derive(Serialize, Deserialize)]
struct SampleLosses {
    id: SampleId,
    champion: Option<f32>,
    before: Option<f32>,
}

/// The losses of the samples on the draft's shortlist; of none where the policy does not ask, or no champion was trained. `None` where
/// the work is to stop.
pub(super) fn of(scope: &Scope<'_>, model: &Model, draft: &Draft) -> anyhow::Result<Option<Losses>> {
    let Scope { parts, cycle, config, folder, stop } = scope;
    let context = &parts.context;
    let Some(champion) = cycle.champion.as_ref().filter(|_| config.replay.policy.policy().reads_losses()) else {
        return Ok(Some(Losses::default()));
    };
    let mut losses = match read_json(&folder.replay_losses())? {
        Some(losses) => losses,
        None => begun(scope, champion, draft)?,
    };
    if losses.scored == losses.samples.len() {
        return Ok(Some(losses));
    }
    let model = model.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let load = |adapter| Side::of(adapter).load(&context.state, &context.registry, &model);
    let (champion, before) = (load(losses.champion.as_ref())?, load(losses.before.as_ref())?);
    let ids: Vec<SampleId> = losses.samples.iter().map(|sample| sample.id).collect();
    let samples = stored::read_samples(&context.state, &context.registry.sample_records(&ids)?)?;
    let length_max = config.train.max_length.min(model.config.positions_max);
    while losses.scored < losses.samples.len() {
        if stop.is_set() {
            return Ok(None);
        }
        let end = losses.samples.len().min(losses.scored + BATCH);
        let batch = &mut losses.samples[losses.scored..end];
        let encode = |sample: &SampleLosses| encoded(&model, samples.get(&sample.id)?, length_max);
        let encoded: Vec<Option<Encoded>> = batch.iter().map(encode).collect();
        let of_champion = means(&model, champion.as_ref(), &encoded)?;
        let of_before = means(&model, before.as_ref(), &encoded)?;
        for (sample, (champion, before)) in batch.iter_mut().zip(of_champion.into_iter().zip(of_before)) {
            (sample.champion, sample.before) = (champion, before);
        }
        losses.scored = end;
        durable::write_durably(&folder.replay_losses(), &serde_json::to_vec(&losses)?)?;
        failpoint::hit("replay_losses.kept")?;
        let (done, items) = (end as u64, losses.samples.len() as u64);
        context.telemetry.emit(ItemsJudged { done, items });
        context.telemetry.beat();
    }
    Ok(Some(losses))
}

/// What is to be scored, fixed from here on.
fn begun(scope: &Scope<'_>, champion: &AdapterId, draft: &Draft) -> anyhow::Result<Losses> {
    let adapter = scope.parts.context.registry.adapter(champion)?;
    let before = adapter.with_context(|| format!("there is no adapter {champion}"))?.lineage.parent;
    let samples = draft.shortlist(TIMES).into_iter().map(|id| SampleLosses { id, champion: None, before: None });
    let losses = Losses { champion: Some(champion.clone()), before, scored: 0, samples: samples.collect() };
    durable::write_durably(&scope.folder.replay_losses(), &serde_json::to_vec(&losses)?)?;
    Ok(losses)
}

/// A sample as it is trained on; `None` where there is nothing to supervise, as in a bare prompt.
fn encoded(model: &Model, sample: &Sample, length_max: usize) -> Option<Encoded> {
    model.encode(&sample.body, length_max).ok()
}

/// The mean loss per token of each, in nats.
fn means(model: &Model, adapter: Option<&Adapter>, encoded: &[Option<Encoded>]) -> anyhow::Result<Vec<Option<f32>>> {
    let scorable: Vec<Encoded> = encoded.iter().flatten().cloned().collect();
    let mut scores = generate::score(model, adapter, &scorable)?.into_iter();
    let mut mean = |_: &Encoded| {
        let scored = scores.next()?;
        let mean = scored.nll_sum / scored.tokens.max(1) as f64;
        mean.is_finite().then_some(mean as f32)
    };
    Ok(encoded.iter().map(|encoded| encoded.as_ref().and_then(&mut mean)).collect())
}

impl Losses {
    /// By how much the loss of each sample rose, in nats per token.
    pub(super) fn rises(&self) -> BTreeMap<SampleId, f64> {
        let rise = |sample: &SampleLosses| Some((sample.id, f64::from(sample.champion?) - f64::from(sample.before?)));
        self.samples.iter().filter_map(rise).collect()
    }

    /// For the report, of so many samples that may be replayed.
    pub(super) fn told(&self, replayable: usize) -> Option<String> {
        let champion = self.champion.as_ref()?;
        let (rises, before) = (self.rises(), adapter_name(self.before.as_ref()));
        let rose = rises.values().filter(|rise| **rise > 0.0).count();
        Some(format!(
            "What is replayed was chosen by its loss: {} of {replayable} samples that may be replayed were scored, and {rose} of them \
             rose from {before} to {champion}.",
            rises.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Fingerprint;

    use super::*;

    #[test]
    fn rises_are_of_samples_with_both_losses_and_survive_their_file() {
        let sample = |n: u8, champion, before| SampleLosses { id: SampleId(Fingerprint::of(&[n])), champion, before };
        let samples =
            vec![sample(0, Some(0.1), Some(0.3)), sample(1, Some(2.5), Some(1.0)), sample(2, None, Some(1.0))];
        let champion = Some(AdapterId::of(&Fingerprint::of(b"c")));
        let losses = Losses { champion, before: None, scored: 3, samples };
        let read: Losses = serde_json::from_slice(&serde_json::to_vec(&losses).unwrap()).unwrap();
        assert_eq!(read.rises(), losses.rises());
        assert_eq!(losses.rises().into_values().filter(|rise| *rise == 1.5).count(), 1);
        let told = losses.told(9).unwrap();
        assert!(told.contains("2 of 9 samples") && told.contains("1 of them rose from the base model to"), "{told}");
        assert_eq!(Losses::default().told(9), None);
    }
}
