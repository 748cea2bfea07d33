//! The champion's losses on samples that it was not trained on: held-out ones of the reference's time, and fresh ones. A few are scored
//! each time, and what was scored is kept.

use std::collections::{BTreeMap, BTreeSet};

use perennial_drift::{DOMAINS_MAX, SAMPLES_MIN, Window};
use perennial_durable as durable;
use perennial_learn::{generate, model::Model, tokenize::Encoded};
use perennial_registry::SampleRecord;
use perennial_types::{AdapterId, Domain, Fingerprint, SampleId};
use serde::{Deserialize, Serialize};

use super::{Champion, weights};
use crate::{
    config::Config,
    cycle_folder::read_json,
    ports::{Context, Stop},
    stored::read_samples,
};

/// Tokens of a sample that are scored.
const TOKENS_MAX: usize = 512;

/// Samples that are scored between two looks at the stop flag.
const BATCH: usize = 8;

/// Held-out samples of a domain that are scored.
const HELD_OUT_MAX: usize = 64;

/// Held-out samples that are looked through.
const HELD_OUT_READ_MAX: usize = 10_000;

/// Fresh samples of a domain whose losses count: the last.
const FRESH_MAX: usize = 256;

/// `drift/losses.json`
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    champion: Option<AdapterId>,
    base: Option<Fingerprint>,
    /// In nats per token; `None` where a sample has none, as a bare prompt. In single precision, which JSON keeps to the bit.
    losses: BTreeMap<SampleId, Option<f32>>,
}

/// Losses by domain, the oldest first.
#[derive(Default)]
pub(super) struct Scored {
    pub(super) held_out: BTreeMap<Domain, Vec<f64>>,
    pub(super) fresh: BTreeMap<Domain, Vec<f64>>,
}

/// What is known, after `drift.scored_rows_max` more were scored, where `may_calculate` and until `stop`.
#[allow(clippy::too_many_arguments, reason = "each is another thing")]
pub(super) fn of(
    context: &Context,
    config: &Config,
    model: &Model,
    champion: &Champion,
    reference: &Window,
    arrived: &[SampleRecord],
    may_calculate: bool,
    stop: &Stop,
) -> anyhow::Result<Scored> {
    let scored_max = config.drift.scored_rows_max as usize;
    if scored_max == 0 {
        return Ok(Scored::default());
    }
    let held_out = held_out(context, champion, reference)?;
    let domains: BTreeSet<&Domain> = held_out.iter().map(|record| &record.domain).collect();
    let fresh: Vec<&SampleRecord> = arrived.iter().filter(|record| domains.contains(&record.domain)).collect();
    let path = context.state.drift().join("losses.json");
    let of_now = (Some(champion.adapter.id.clone()), Some(model.fingerprint));
    let kept = read_json::<Kept>(&path).unwrap_or_default().filter(|kept| (kept.champion.clone(), kept.base) == of_now);
    let mut kept = kept.unwrap_or_else(|| Kept { champion: of_now.0, base: of_now.1, losses: BTreeMap::new() });
    // The newest of the fresh ones first: they say how things are now.
    let wanted = held_out.iter().chain(fresh.iter().rev().copied());
    let missing: Vec<&SampleRecord> =
        wanted.filter(|record| !kept.losses.contains_key(&record.id)).take(scored_max).collect();
    if may_calculate && !missing.is_empty() && !stop.is_set() {
        score(context, config, model, champion, &missing, &mut kept.losses, stop)?;
        let current: BTreeSet<SampleId> =
            held_out.iter().chain(fresh.iter().copied()).map(|record| record.id).collect();
        kept.losses.retain(|id, _| current.contains(id));
        durable::create_folder_durably(&context.state.drift())?;
        durable::write_durably(&path, &serde_json::to_vec(&kept)?)?;
    }
    Ok(Scored {
        held_out: by_domain(held_out.iter(), &kept, HELD_OUT_MAX),
        fresh: by_domain(fresh.into_iter(), &kept, FRESH_MAX),
    })
}

/// The losses that are known of these samples: the last of each domain.
fn by_domain<'a>(
    records: impl Iterator<Item = &'a SampleRecord>,
    kept: &Kept,
    most: usize,
) -> BTreeMap<Domain, Vec<f64>> {
    let mut losses: BTreeMap<Domain, Vec<f64>> = BTreeMap::new();
    for record in records {
        let known = kept.losses.get(&record.id).copied().flatten();
        losses.entry(record.domain.clone()).or_default().extend(known.map(f64::from));
    }
    for losses in losses.values_mut() {
        losses.drain(..losses.len().saturating_sub(most));
    }
    losses
}

/// Held-out samples from before the champion's cycle, of the domains that have enough of them, the largest domains first.
fn held_out(context: &Context, champion: &Champion, reference: &Window) -> anyhow::Result<Vec<SampleRecord>> {
    let mut by_domain: BTreeMap<Domain, Vec<SampleRecord>> = BTreeMap::new();
    for record in context.registry.held_out_until(champion.started_ms, HELD_OUT_READ_MAX)? {
        by_domain.entry(record.domain.clone()).or_default().push(record);
    }
    let sizes = reference.domains();
    by_domain.retain(|domain, records| records.len() >= SAMPLES_MIN && sizes.contains_key(domain));
    let mut domains: Vec<(Domain, Vec<SampleRecord>)> = by_domain.into_iter().collect();
    domains.sort_by_key(|(domain, _)| std::cmp::Reverse(sizes.get(domain).copied()));
    domains.truncate(DOMAINS_MAX);
    let last =
        |(_, mut records): (Domain, Vec<SampleRecord>)| records.split_off(records.len().saturating_sub(HELD_OUT_MAX));
    Ok(domains.into_iter().flat_map(last).collect())
}

fn score(
    context: &Context,
    config: &Config,
    model: &Model,
    champion: &Champion,
    missing: &[&SampleRecord],
    losses: &mut BTreeMap<SampleId, Option<f32>>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let adapter = weights::load(context, Some(&champion.adapter), model)?;
    let model = model.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let length_max = TOKENS_MAX.min(config.train.max_length).min(model.config.positions_max);
    for batch in missing.chunks(BATCH) {
        if stop.is_set() {
            return Ok(());
        }
        let samples = read_samples(&context.state, batch.iter().copied())?;
        let encoded: Vec<(SampleId, Option<Encoded>)> =
            samples.iter().map(|(id, sample)| (*id, model.encode(&sample.body, length_max).ok())).collect();
        let scorable: Vec<Encoded> = encoded.iter().filter_map(|(_, encoded)| encoded.clone()).collect();
        let mut scores = generate::score(&model, adapter.as_ref(), &scorable)?.into_iter();
        for (id, encoded) in encoded {
            let scored = encoded.and_then(|_| scores.next()).filter(|scored| scored.tokens > 0);
            let mean = scored.map(|scored| (scored.nll_sum / scored.tokens as f64) as f32);
            losses.insert(id, mean.filter(|mean| mean.is_finite()));
        }
    }
    Ok(())
}
