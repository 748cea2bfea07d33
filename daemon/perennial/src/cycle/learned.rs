//! The new samples that a cycle's training saw, and what becomes of them once the gate refused what they taught: they are new
//! again, each try counted, and set aside after `cycle.requeue_max` more.

use std::collections::{BTreeMap, BTreeSet};

use perennial_data::mix::{self, Origin};
use perennial_durable as durable;
use perennial_gate::{Decision, Reason};
use perennial_types::{CycleId, SampleId, shortened};

use super::{CycleFolder, Scope, notes};
use crate::cycle_folder::read_json;

/// The longest verdict that stands in the reason of a sample that is set aside, in characters.
const VERDICT_CHARS_MAX: usize = 300;

/// Keeps which samples of the mix no step of training came to.
pub(super) fn keep_unseen(folder: &CycleFolder, unseen: &BTreeSet<SampleId>) -> anyhow::Result<()> {
    Ok(durable::write_durably(&folder.unseen(), &serde_json::to_vec(unseen)?)?)
}

/// The samples of the mix that were seen in training, by where they came from. In the folders of programs that did not note
/// it, all were.
pub(super) fn seen(folder: &CycleFolder) -> anyhow::Result<BTreeMap<Origin, BTreeSet<SampleId>>> {
    let (_, rows) = mix::read_mix(folder.path())?;
    let unseen = unseen(folder)?;
    let mut seen: BTreeMap<Origin, BTreeSet<SampleId>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !unseen.contains(&row.sample.id)) {
        seen.entry(row.origin).or_default().insert(row.sample.id);
    }
    Ok(seen)
}

fn unseen(folder: &CycleFolder) -> anyhow::Result<BTreeSet<SampleId>> {
    Ok(read_json(&folder.unseen())?.unwrap_or_default())
}

/// That training did not come to all new samples, for the report.
pub(super) fn unseen_told(scope: &Scope<'_>) -> anyhow::Result<Option<String>> {
    let (_, rows) = mix::read_mix(scope.folder.path())?;
    let unseen = unseen(&scope.folder)?;
    let new: Vec<SampleId> = rows.iter().filter(|row| row.origin == Origin::New).map(|row| row.sample.id).collect();
    let missed = new.iter().filter(|id| unseen.contains(id)).count();
    Ok((missed > 0).then(|| {
        format!(
            "{missed} of {} new samples were in no step of training (epochs, steps_max): they are new still.",
            new.len()
        )
    }))
}

/// The new samples that were learned from, without those that are set aside.
pub(super) fn new_samples(scope: &Scope<'_>) -> anyhow::Result<Vec<SampleId>> {
    let mut new: Vec<SampleId> = seen(&scope.folder)?.remove(&Origin::New).into_iter().flatten().collect();
    let aside = scope.parts.context.registry.set_aside_among(&new)?;
    new.retain(|id| !aside.contains(id));
    Ok(new)
}

/// What is known of the tries of a cycle's new samples before its own decision.
pub(super) struct Tries {
    new: Vec<SampleId>,
    /// Since somebody took them back; those that never were tried are not there.
    since: BTreeMap<SampleId, u32>,
    /// What the gate charges for: as many as at least half of the samples were tried before.
    pub(super) earlier: u32,
}

/// What becomes of samples whose candidate was refused.
#[derive(Default)]
pub(super) struct Returned {
    /// Those that were tried often enough, each with the reason.
    pub(super) set_aside: BTreeMap<SampleId, String>,
    /// How many are new again.
    pub(super) again: usize,
}

impl Tries {
    pub(super) fn of(scope: &Scope<'_>) -> anyhow::Result<Self> {
        let new = new_samples(scope)?;
        let known = scope.parts.context.registry.tries(&new)?;
        let all = new.iter().map(|id| known.get(id).map_or(0, |tries| tries.all)).collect();
        let since = known.into_iter().map(|(id, tries)| (id, tries.since)).collect();
        Ok(Self { new, since, earlier: reached_by_half(all) })
    }

    pub(super) fn into_new(self) -> Vec<SampleId> {
        self.new
    }

    /// What becomes of them if this decision refuses the candidate of `cycle`.
    pub(super) fn returned(&self, cycle: CycleId, decision: &Decision, requeue_max: u32) -> Returned {
        let verdict = shortened(&verdict(decision), VERDICT_CHARS_MAX);
        let mut set_aside = BTreeMap::new();
        for id in &self.new {
            let tries = self.since.get(id).copied().unwrap_or(0) + 1;
            if tries > requeue_max {
                let times = if tries == 1 { "once".to_owned() } else { format!("{tries} times") };
                let reason = format!(
                    "learned {times} by candidates that the gate refused (cycle.requeue_max = {requeue_max}), the last in \
                     cycle {cycle}: {verdict}"
                );
                set_aside.insert(*id, reason);
            }
        }
        let again = self.new.len() - set_aside.len();
        Returned { set_aside, again }
    }
}

impl Returned {
    /// For the reader of the report.
    pub(super) fn tell(&self, folder: &CycleFolder) -> anyhow::Result<()> {
        let mut told = Vec::new();
        if self.again > 0 {
            told.push(format!(
                "{} new samples of this cycle are new again: they go into the next one beside others, or under another \
                 configuration, and `perennial cycle` takes them at once.",
                self.again
            ));
        }
        if !self.set_aside.is_empty() {
            told.push(format!(
                "{} new samples of this cycle are set aside, having been tried often enough (cycle.requeue_max): \
                 `perennial quarantine list` names the file that brings them back.",
                self.set_aside.len()
            ));
        }
        notes::write(folder, "6-requeue", &told)
    }
}

/// The largest number that at least half of these reach.
fn reached_by_half(mut numbers: Vec<u32>) -> u32 {
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    let half = numbers.len().div_ceil(2);
    half.checked_sub(1).and_then(|last| numbers.get(last)).copied().unwrap_or(0)
}

fn verdict(decision: &Decision) -> String {
    decision.reasons.first().map(Reason::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use perennial_gate::Outcome;
    use perennial_types::Fingerprint;

    use super::*;

    fn id(number: u8) -> SampleId {
        SampleId(Fingerprint::of(&[number]))
    }

    #[test]
    fn what_half_of_them_reached_is_charged_for() {
        for (numbers, expected) in
            [(vec![], 0), (vec![2], 2), (vec![0, 2], 2), (vec![0, 0, 2], 0), (vec![1, 3, 0, 2, 1], 1)]
        {
            assert_eq!(reached_by_half(numbers.clone()), expected, "{numbers:?}");
        }
    }

    #[test]
    fn a_sample_is_set_aside_once_it_was_tried_often_enough() {
        let since = BTreeMap::from([(id(1), 2), (id(2), 1)]);
        let tries = Tries { new: vec![id(1), id(2), id(3)], since, earlier: 1 };
        let decision = Decision { outcome: Outcome::Reject, reasons: vec![Reason::NothingMeasured] };
        let returned = |max| tries.returned(CycleId(7), &decision, max);
        let Returned { set_aside, again } = returned(2);
        assert_eq!((set_aside.keys().collect::<Vec<_>>(), again), (vec![&id(1)], 2));
        let reason = &set_aside[&id(1)];
        assert!(
            reason.starts_with("learned 3 times") && reason.contains("cycle 000007: no suite was measured"),
            "{reason}"
        );
        assert_eq!(returned(0).set_aside.len(), 3);
        assert!(returned(0).set_aside[&id(3)].starts_with("learned once"));
        assert_eq!(returned(3).again, 3);
    }

    #[test]
    fn what_was_not_seen_is_told_apart_where_it_was_noted() {
        let root = tempfile::tempdir().unwrap();
        let folder = CycleFolder::new(root.path().to_owned());
        assert_eq!(unseen(&folder).unwrap(), BTreeSet::new());
        keep_unseen(&folder, &BTreeSet::from([id(4)])).unwrap();
        assert_eq!(unseen(&folder).unwrap(), BTreeSet::from([id(4)]));
    }
}
