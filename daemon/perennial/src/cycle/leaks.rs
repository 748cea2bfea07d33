//! What the suites ask is kept out of training: a candidate that was trained on a question proves nothing by answering it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use perennial_data::mix::Apart;
use perennial_registry::SampleRecord;
use perennial_types::{Domain, Fingerprint, Kind, SampleId};

use super::{Scope, suites};
use crate::{questions, telemetry::SamplesKeptOut};

/// Every question of the golden suites and of the held-out samples.
pub(super) struct Asked {
    /// The first golden suite that asks it.
    golden: BTreeMap<Fingerprint, String>,
    held_out: BTreeSet<Fingerprint>,
}

/// Who asks the same as a sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// A golden suite, by name.
    Golden(String),
    /// A held-out sample.
    HeldOut,
}

impl Asked {
    pub(super) fn of(scope: &Scope<'_>) -> anyhow::Result<Self> {
        let context = &scope.parts.context;
        questions::fill(context)?;
        let mut golden = BTreeMap::new();
        for suite in suites::freeze_golden(scope)? {
            for item in suite.items {
                golden.entry(item.body.question_fingerprint()).or_insert_with(|| suite.name.clone());
            }
        }
        Ok(Self { golden, held_out: context.registry.held_out_questions()? })
    }

    /// Who asks the same as this sample; `None` where it may be trained on.
    pub(super) fn by(&self, record: &SampleRecord) -> Option<Asker> {
        let question = record.question?;
        if let Some(suite) = self.golden.get(&question) {
            return Some(Asker::Golden(suite.clone()));
        }
        self.held_out.contains(&question).then_some(Asker::HeldOut)
    }

    /// Whether a suite asks this question.
    pub(super) fn asks(&self, question: &Fingerprint) -> bool {
        self.golden.contains_key(question) || self.held_out.contains(question)
    }

    /// What a mix must not hold.
    pub(super) fn apart(self, held_out: HashSet<SampleId>) -> Apart {
        let questions = self.golden.into_keys().chain(self.held_out).collect();
        Apart { samples: held_out, questions }
    }
}

/// The oldest fresh samples that may be trained on, at most `limit`. Those before the last of them that may not are kept out
/// from now on; those that were kept out before, for a reason that is gone, are fresh again.
pub(super) fn fresh(
    scope: &Scope<'_>,
    asked: &Asked,
    kinds: &[Kind],
    domains: Option<&BTreeSet<Domain>>,
    limit: usize,
) -> anyhow::Result<Vec<SampleRecord>> {
    let (registry, cycle) = (&scope.parts.context.registry, scope.cycle.id);
    let back = registry.kept_out(None)?.into_iter().filter(|record| asked.by(record).is_none());
    registry.let_back(&back.map(|record| record.id).collect::<Vec<_>>())?;
    // Each round keeps at least one sample out, so there is an end to it.
    loop {
        let fresh = registry.fresh_samples(kinds, domains, limit)?;
        let leaking: Vec<SampleId> =
            fresh.iter().filter(|record| asked.by(record).is_some()).map(|record| record.id).collect();
        if leaking.is_empty() {
            return Ok(fresh);
        }
        registry.keep_out(cycle, &leaking)?;
        scope.parts.context.telemetry.emit(SamplesKeptOut { cycle, samples: leaking.len() as u64 });
    }
}

/// What is to be told of samples that may not be trained on, by who asks the same. `what` names them, in the plural.
pub(super) fn told(asked: &Asked, records: &[SampleRecord], what: &str) -> Vec<String> {
    let mut counts: BTreeMap<Asker, usize> = BTreeMap::new();
    for asker in records.iter().filter_map(|record| asked.by(record)) {
        *counts.entry(asker).or_default() += 1;
    }
    let told = |(asker, count): (Asker, usize)| {
        let asker = match asker {
            Asker::Golden(suite) => format!("the golden suite {suite} asks"),
            Asker::HeldOut => "held-out samples ask".to_owned(),
        };
        format!("Kept out of the mix, for asking what {asker}: {count} {what}.")
    };
    counts.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn record(number: u8, question: Option<&str>) -> SampleRecord {
        SampleRecord {
            id: SampleId(Fingerprint::of(&[number])),
            segment: Arc::from("s"),
            domain: Domain::default(),
            kind: Kind::Messages,
            question: question.map(|question| Fingerprint::of(question.as_bytes())),
            indexed: true,
            arrived_ms: 0,
        }
    }

    #[test]
    fn what_was_kept_out_is_told_by_who_asks_it() {
        let asked = Asked {
            golden: BTreeMap::from([(Fingerprint::of(b"a"), "zun".to_owned())]),
            held_out: BTreeSet::from([Fingerprint::of(b"a"), Fingerprint::of(b"b")]),
        };
        let records = [record(1, Some("a")), record(2, Some("b")), record(3, Some("c")), record(4, None)];
        let askers: Vec<_> = records.iter().map(|record| asked.by(record)).collect();
        assert_eq!(askers, [Some(Asker::Golden("zun".to_owned())), Some(Asker::HeldOut), None, None]);
        assert_eq!(
            told(&asked, &records, "new samples"),
            [
                "Kept out of the mix, for asking what the golden suite zun asks: 1 new samples.",
                "Kept out of the mix, for asking what held-out samples ask: 1 new samples.",
            ]
        );
        let apart = asked.apart(HashSet::new());
        assert_eq!(apart.questions.len(), 2);
    }
}
