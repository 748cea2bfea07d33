//! Suites that are asked batch by batch, until a sequential test knows enough of them (`gate.sequential`).
//!
//! Which items are in a batch depends on the cycle's seed alone, and answers are kept item by item, so a cycle that was
//! interrupted asks what is missing and stops where it would have stopped.

use std::collections::BTreeMap;

use perennial_durable::failpoint;
use perennial_gate::{Batches, ItemScore, Look, Policy, Side, Suite, SuiteScores};

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Batched {
    /// By suite, the champion's scores and the candidate's, in the order of the suite's items. Suites behind one that shows
    /// harm are not there.
    pub(super) scores: BTreeMap<String, [SuiteScores; 2]>,
    /// Whether one did.
    pub(super) harm_shown: bool,
}

impl Batched {
    /// Both sides on all suites, in their order: those that were asked in batches, and the rest, whose scores are given.
    pub(super) fn with(self, suites: &[Suite], rest: [Vec<SuiteScores>; 2]) -> [Vec<SuiteScores>; 2] {
        let [mut champion, mut candidate] = [Vec::new(), Vec::new()];
        let [mut theirs, mut ours] = rest.map(Vec::into_iter);
        let mut batched = self.scores;
        for suite in suites {
            match batched.remove(&suite.name) {
                Some([batched_champion, batched_candidate]) => {
                    champion.push(batched_champion);
                    candidate.push(batched_candidate);
                }
                None => {
                    champion.extend(theirs.next());
                    candidate.extend(ours.next());
                }
            }
        }
        [champion, candidate]
    }
}

/// Asks suites in batches, the cheapest first, until harm is shown on one. `ask` asks one side a suite of the items that it is
/// given. `None` where the work is to stop.
pub(super) fn ask(
    suites: &[Suite],
    batches: Option<&Batches>,
    policy: &Policy,
    ask: &mut dyn FnMut(Side, &Suite) -> anyhow::Result<Option<SuiteScores>>,
) -> anyhow::Result<Option<Batched>> {
    let mut batched = Batched::default();
    let named = |name: &String| suites.iter().find(|suite| suite.name == *name);
    for suite in batches.iter().flat_map(|batches| batches.suites.iter().filter_map(named)) {
        let Some(run) = batches.and_then(|batches| batches.of_suite(suite, policy)) else { continue };
        let mut known = [unasked(suite), unasked(suite)];
        let mut look = Look::Continue;
        for batch in run.batches() {
            let part = Suite { items: batch.iter().map(|at| suite.items[*at].clone()).collect(), ..suite.clone() };
            for (side, known) in [Side::Champion, Side::Candidate].into_iter().zip(&mut known) {
                let Some(scores) = ask(side, &part)? else { return Ok(None) };
                batch.iter().zip(scores.items).for_each(|(at, score)| known.items[*at] = score);
            }
            failpoint::hit("cycle.batch")?;
            let [champion, candidate] = &known;
            (_, look) = run.look(&candidate.items, &champion.items);
            if look != Look::Continue {
                break;
            }
        }
        batched.scores.insert(suite.name.clone(), known);
        if look == Look::Harm {
            batched.harm_shown = true;
            break;
        }
    }
    Ok(Some(batched))
}

/// A suite that was not asked.
pub(super) fn unasked(suite: &Suite) -> SuiteScores {
    let items = suite.items.iter().map(|_| ItemScore::unasked()).collect();
    SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items }
}

#[cfg(test)]
mod tests {
    use perennial_gate::{SuiteOptions, parse_golden};

    use super::*;

    fn suite(name: &str, items: usize) -> Suite {
        let rows: Vec<String> =
            (0..items).map(|at| format!("{{\"prompt\": \"{name} {at}\", \"completion\": \"yes\"}}")).collect();
        parse_golden(&rows.join("\n"), "g", SuiteOptions { items_max: items, ..SuiteOptions::new(name) }).unwrap()
    }

    /// What came of it, and what was asked, in order. Whoever fell is never right; the work stops after so many questions.
    fn asked(suites: &[Suite], fell: &str, stop_after: usize) -> (Option<Batched>, Vec<(Side, String, usize)>) {
        let mut calls = Vec::new();
        let batches = Batches::of(suites, 50, 0);
        let batched = ask(suites, batches.as_ref(), &Policy::default(), &mut |side, part| {
            if calls.len() == stop_after {
                return Ok(None);
            }
            calls.push((side, part.name.clone(), part.items.len()));
            let score = if side == Side::Candidate && part.name == fell { 0.0 } else { 1.0 };
            let mut scores = unasked(part);
            scores.items.fill(ItemScore { score: Some(score), unasked: false, ..ItemScore::unasked() });
            Ok(Some(scores))
        });
        (batched.unwrap(), calls)
    }

    fn unasked_items(scores: &SuiteScores) -> usize {
        scores.items.iter().filter(|item| item.unasked).count()
    }

    #[test]
    fn harm_on_a_cheap_suite_spares_the_dear_ones() {
        let suites = [suite("dear", 400), suite("fell", 300), suite("cheap", 80)];
        let (batched, calls) = asked(&suites, "fell", usize::MAX);
        let batched = batched.unwrap();
        let names: Vec<&str> = calls.iter().map(|(_, name, _)| name.as_str()).collect();
        assert_eq!(names, ["cheap", "cheap", "cheap", "cheap", "fell", "fell"]);
        assert!(batched.harm_shown && !batched.scores.contains_key("dear"));
        assert_eq!(unasked_items(&batched.scores["fell"][1]), 250);
        assert_eq!(batched.scores["fell"][0].fingerprint, suites[1].fingerprint());
        assert_eq!(asked(&suites, "fell", usize::MAX).0.unwrap(), batched, "the same once more");
    }

    #[test]
    fn ties_are_known_to_be_safe_before_the_end() {
        let suites = [suite("large", 400), suite("small", 80)];
        let (batched, calls) = asked(&suites, "none", usize::MAX);
        let batched = batched.unwrap();
        assert_eq!((batched.harm_shown, calls.len()), (false, 4 + 8));
        assert_eq!(unasked_items(&batched.scores["large"][1]), 200);
        let (other, scores) = (suite("other", 1), unasked(&suite("other", 1)));
        let all = [suites[0].clone(), other, suites[1].clone()];
        let [champion, _] = batched.with(&all, [vec![scores.clone()], vec![scores]]);
        assert_eq!(
            champion.iter().map(|scores| scores.suite.as_str()).collect::<Vec<_>>(),
            ["large", "other", "small"]
        );
        assert_eq!(asked(&suites, "none", 3).0, None);
    }

    #[test]
    fn nothing_is_asked_where_no_suite_is_to_be() {
        let target = Suite { target: true, ..suite("target", 100) };
        assert_eq!(asked(&[target], "target", usize::MAX), (Some(Batched::default()), vec![]));
    }
}
