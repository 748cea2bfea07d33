//! Near-twins: samples of a mix whose embedding is nearly that of what a suite asks, another wording of the same. What asks the
//! same word for word is known by its question (`leaks.rs`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use perennial_data::mix::{MixPlan, Origin};
use perennial_learn::{
    embed::{self, Embedder, Method},
    model::Model,
};
use perennial_registry::SampleRecord;
use perennial_types::{Fingerprinter, SampleId};

use super::{Scope, suites};
use crate::{replay, stored, telemetry::SamplesKeptOut};

/// Items of suites that a mix is compared with, which bounds the work: a random part of them.
const ITEMS_MAX: usize = 2000;

/// Items that are embedded together.
const BATCH: usize = 256;

/// At most this part of a mix is kept out, the likest first: where more of it is that like the suites, the data are of one form, and
/// being like says little.
const SHARE_MAX: f64 = 0.05;

/// Takes the near-twins of what golden suites and all that is held out ask out of a plan, and keeps those that are new out of
/// training from now on; they are looked at again in the next cycle. Returns what is to be told.
pub(super) fn keep_out(
    scope: &Scope<'_>,
    model: &Model,
    plan: &mut MixPlan,
    held_out: Vec<SampleRecord>,
) -> anyhow::Result<Vec<String>> {
    let Scope { parts, cycle, config, stop, .. } = scope;
    let context = &parts.context;
    let similarity_min = config.cycle.twin_similarity;
    if similarity_min >= 1.0 {
        return Ok(Vec::new());
    }
    let ids: Vec<SampleId> =
        plan.order.iter().filter(|(_, origin)| *origin != Origin::BaseAnswer).map(|(id, _)| *id).collect();
    let Some((method, vectors)) = vectors(scope, model, &ids)? else {
        return Ok(vec![
            "Near-twins of what suites ask were not looked for: the replay buffer is of another make.".to_owned(),
        ]);
    };
    let (texts, all) = items(scope, held_out)?;
    let embedder = Embedder::new(model, method)?;
    let mut asked: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        if stop.is_set() {
            return Ok(Vec::new());
        }
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        asked.extend(embedder.embed(&batch)?);
        context.telemetry.beat();
    }
    let (found, beyond) = twins(&vectors, &asked, similarity_min, ids.len());
    plan.order.retain(|(id, origin)| *origin == Origin::BaseAnswer || !found.contains(id));
    let kept_out: Vec<SampleId> = found.iter().copied().collect();
    context.registry.keep_out(cycle.id, &kept_out)?;
    if !found.is_empty() {
        context.telemetry.emit(SamplesKeptOut { cycle: cycle.id, samples: found.len() as u64 });
    }
    Ok(told(found.len(), beyond, (texts.len(), all), similarity_min))
}

type Vectors = BTreeMap<SampleId, Vec<f32>>;

/// The vectors of samples, with how they were made; `None` where there are none that can be compared. Both in one turn, since the
/// indexer may build the buffer anew in the next.
fn vectors(scope: &Scope<'_>, model: &Model, ids: &[SampleId]) -> anyhow::Result<Option<(Method, Vectors)>> {
    let parts = &scope.parts;
    let _turn = parts.buffer.hold();
    let Some(method) = replay::method_of(&parts.context, model)? else { return Ok(None) };
    let vectors = match replay::find(&parts.context)? {
        Some(buffer) => parts.context.runtime.block_on(buffer.vectors(ids)).context("the replay buffer")?,
        None => BTreeMap::new(),
    };
    Ok(Some((method, vectors)))
}

/// The texts of what suites ask, at most [`ITEMS_MAX`], and how many there are in all.
fn items(scope: &Scope<'_>, mut held_out: Vec<SampleRecord>) -> anyhow::Result<(Vec<String>, usize)> {
    let context = &scope.parts.context;
    let golden = suites::freeze_golden(scope)?.into_iter().flat_map(|suite| suite.items);
    let mut texts: Vec<String> = golden.map(|item| item.body.text()).collect();
    let all = texts.len() + held_out.len();
    let lot = |bytes: &[u8]| {
        Fingerprinter::new().part(b"perennial twins 1").part(&scope.cycle.seed.to_le_bytes()).part(bytes).finish()
    };
    // Half of them at least are held out, where there are so many.
    texts.sort_by_cached_key(|text| lot(text.as_bytes()));
    texts.truncate(ITEMS_MAX.saturating_sub(held_out.len()).max(ITEMS_MAX / 2));
    held_out.sort_by_cached_key(|record| lot(record.id.0.as_bytes()));
    held_out.truncate(ITEMS_MAX - texts.len());
    texts.extend(stored::read_samples(&context.state, &held_out)?.into_values().map(|sample| sample.body.text()));
    Ok((texts, all))
}

/// The rows that are as like to one of the items, the likest first as far as they may go, and how many more there are.
fn twins(
    rows: &BTreeMap<SampleId, Vec<f32>>,
    items: &[Vec<f32>],
    similarity_min: f64,
    mix: usize,
) -> (BTreeSet<SampleId>, usize) {
    // A text without tokens is like every other.
    let is_some = |vector: &&[f32]| vector.iter().any(|value| *value != 0.0);
    let items: Vec<&[f32]> = items.iter().map(Vec::as_slice).filter(is_some).collect();
    let (ids, vectors): (Vec<SampleId>, Vec<&[f32]>) =
        rows.iter().map(|(id, vector)| (*id, vector.as_slice())).filter(|(_, vector)| is_some(vector)).unzip();
    let near = ids.into_iter().zip(embed::nearest(&vectors, &items));
    // Of unit vectors: the squared distance is 2 − 2·cos.
    let like = near.filter_map(|(id, nearest)| {
        Some((nearest?.1, id)).filter(|(far, _)| 1.0 - f64::from(*far) / 2.0 >= similarity_min)
    });
    let mut like: Vec<(f32, SampleId)> = like.collect();
    like.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let most = (mix as f64 * SHARE_MAX) as usize;
    let beyond = like.len().saturating_sub(most);
    (like.into_iter().take(most).map(|(_, id)| id).collect(), beyond)
}

fn told(found: usize, beyond: usize, (compared, all): (usize, usize), similarity_min: f64) -> Vec<String> {
    let mut told = Vec::new();
    if found > 0 {
        let of = if compared < all { format!("{compared} of {all}") } else { format!("{all}") };
        told.push(format!(
            "Kept out of the mix, for being {similarity_min} or more like one of {of} items of suites (cosine of embeddings): {found} \
             samples."
        ));
    }
    if beyond > 0 {
        told.push(format!(
            "{beyond} more samples of the mix are as like items of suites, and were trained on, since no more than {:.0} % of a mix \
             are kept out for that: where all data are of one form, raise cycle.twin_similarity.",
            100.0 * SHARE_MAX
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use perennial_types::Fingerprint;

    use super::*;

    fn id(n: u8) -> SampleId {
        SampleId(Fingerprint::of(&[n]))
    }

    /// A unit vector at this angle.
    fn at(angle: f32) -> Vec<f32> {
        vec![angle.cos(), angle.sin()]
    }

    #[test]
    fn the_likest_go_first_and_only_as_many_as_may() {
        let rows: BTreeMap<SampleId, Vec<f32>> = (0..60).map(|n| (id(n), at(0.01 * f32::from(n)))).collect();
        let items = [at(0.0), at(-1.0)];
        let (found, beyond) = twins(&rows, &items, f64::from(0.025_f32.cos()), 60);
        assert_eq!((found, beyond), ([0, 1, 2].map(id).into(), 0));
        let (found, beyond) = twins(&rows, &items, 0.995, 60);
        assert_eq!((found, beyond), ([0, 1, 2].map(id).into(), 8));
        assert_eq!(twins(&rows, &[], 0.5, 60), (BTreeSet::new(), 0));
    }

    #[test]
    fn a_text_without_tokens_is_like_none() {
        let rows = BTreeMap::from([(id(0), vec![0.0, 0.0])]);
        assert_eq!(twins(&rows, &[vec![0.0, 0.0]], 0.0, 100), (BTreeSet::new(), 0));
    }

    #[test]
    fn what_is_kept_out_and_what_is_not_is_told() {
        assert_eq!(told(0, 0, (5, 5), 0.99), Vec::<String>::new());
        let told = told(3, 2, (5, 9), 0.99);
        assert!(told[0].contains("one of 5 of 9 items") && told[0].contains("3 samples"), "{told:?}");
        assert!(told[1].starts_with("2 more samples") && told[1].contains("5 %"), "{told:?}");
    }
}
