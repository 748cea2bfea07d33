//! Protected suites that are asked batch by batch, until a [`Sequential`] test knows enough of them.

use perennial_types::{Fingerprint, Fingerprinter};
use serde::{Deserialize, Serialize};

use crate::{
    Asked, Difference, ITEMS_ALONE_MIN, ItemScore, Look, Metric, POOLED_ITEMS, Paired, Policy, Scale, Sequential,
    Stopped, Suite, SuiteReport,
    compare::{Sides, pairs_at},
    margin_beside,
};

/// Which suites of a cycle are asked in batches, and by which levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// The items of a batch.
    pub items: usize,
    /// The suites, the cheapest first.
    pub suites: Vec<String>,
    /// What the test was charged with when they were asked ([`Policy::earlier_tries`]).
    pub earlier_tries: u32,
}

impl Batches {
    /// Those of the suites that may be asked so. `None` where there are none.
    ///
    /// No target is, since looking often makes chance gains of it; and scores must be of items that stand alone and have a
    /// reach.
    pub fn of(suites: &[Suite], items: usize, earlier_tries: u32) -> Option<Self> {
        let items = items.max(1);
        let mut suited: Vec<&Suite> = suites.iter().filter(|suite| suits(suite, items)).collect();
        suited.sort_by_key(|suite| suite.items.len().saturating_mul(suite.max_new_tokens));
        let suites: Vec<String> = suited.into_iter().map(|suite| suite.name.clone()).collect();
        (!suites.is_empty()).then_some(Self { items, suites, earlier_tries })
    }

    /// One of the suites, in the order that this policy's seed draws. `None` for all others.
    pub fn of_suite<'a>(&self, suite: &'a Suite, policy: &Policy) -> Option<InBatches<'a>> {
        self.suites.contains(&suite.name).then(|| InBatches {
            suite,
            order: order(suite, policy.seed),
            batch: self.items.max(1),
            tests: self.suites.len(),
            policy: Policy { sequential: true, earlier_tries: self.earlier_tries, ..policy.clone() },
        })
    }
}

/// Whether a suite may be asked in batches of so many items, and is more than one of them.
pub fn suits(suite: &Suite, batch: usize) -> bool {
    let clusters = suite.clusters().into_iter().max().map_or(0, |last| last + 1);
    let items = suite.items.len();
    suite.protected
        && !suite.target
        && suite.metric != Metric::Perplexity
        && items > batch.max(ITEMS_ALONE_MIN - 1)
        && clusters == items
}

/// The places of a suite's items in a random order that no answer has a part in.
fn order(suite: &Suite, seed: u64) -> Vec<usize> {
    let lot = |at: &usize| -> Fingerprint {
        let item = suite.item_fingerprint(&suite.items[*at]);
        Fingerprinter::new().part(&seed.to_le_bytes()).part(item.as_bytes()).finish()
    };
    let mut order: Vec<usize> = (0..suite.items.len()).collect();
    order.sort_by_cached_key(lot);
    order
}

/// A suite that is asked in batches.
#[derive(Debug)]
pub struct InBatches<'a> {
    suite: &'a Suite,
    order: Vec<usize>,
    batch: usize,
    tests: usize,
    policy: Policy,
}

impl InBatches<'_> {
    /// The places of the items of each batch.
    pub fn batches(&self) -> impl Iterator<Item = &[usize]> {
        self.order.chunks(self.batch)
    }

    /// What is known by these scores, in the order of the suite's items, and the items that it took.
    ///
    /// Nothing is called safe while too much could not be judged: further items may make up for that.
    pub fn look(&self, candidate: &[ItemScore], champion: &[ItemScore]) -> (usize, Look) {
        let Self { suite, policy, .. } = self;
        let mut test = Sequential::new(self.scale().reach(), self.tests, policy);
        let mut so_far = SuiteReport { unjudged: suite.left_out.len(), ..SuiteReport::new("", suite.metric, 0.0) };
        let (mut asked, mut of_champion) = (0, 0.0);
        let is_asked =
            |at: &usize| [candidate, champion].iter().all(|side| side.get(*at).is_some_and(|item| !item.unasked));
        for batch in self.batches().take_while(|batch| batch.iter().all(is_asked)) {
            let Sides { pairs, unjudged, faults } = pairs_at(suite, batch.iter().copied(), candidate, champion);
            asked += batch.len();
            so_far.n += pairs.len();
            so_far.unjudged += unjudged.len();
            so_far.faults.candidate += faults.candidate;
            so_far.faults.champion += faults.champion;
            of_champion += pairs.iter().map(|pair| pair.champion).sum::<f64>();
            let margin = margin_beside(suite, of_champion / so_far.n.max(1) as f64, policy);
            let differences: Vec<f64> = pairs.iter().map(|pair| pair.difference().value).collect();
            match test.observe(&differences, margin) {
                Look::Harm => return (asked, Look::Harm),
                Look::Safe if !so_far.is_void(policy) => return (asked, Look::Safe),
                Look::Safe | Look::Continue => {}
            }
        }
        (asked, Look::Continue)
    }

    /// The comparison with how far the suite was asked, and with what it brings to a pool.
    #[must_use]
    pub fn told(&self, report: SuiteReport, candidate: &[ItemScore], champion: &[ItemScore]) -> SuiteReport {
        let (items, look) = self.look(candidate, champion);
        let of = self.suite.items.len();
        let stopped = match look {
            Look::Safe => Stopped::Safe,
            Look::Harm => Stopped::Harm,
            Look::Continue if items == of => Stopped::End,
            Look::Continue => Stopped::Unknown,
        };
        let first = self.order.iter().copied().take(POOLED_ITEMS);
        let pairs = pairs_at(self.suite, first, candidate, champion).pairs;
        let pooled = Paired::new(self.scale(), pairs.iter().map(|pair| pair.difference()).collect::<Vec<Difference>>());
        SuiteReport { asked: Some(Asked { items, of, stopped }), pooled: Some(pooled), ..report }
    }

    fn scale(&self) -> Scale {
        Scale::of(self.suite.metric, self.suite.reward.as_ref(), self.suite.margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answers, SuiteOptions, SuiteScores, Unjudged, Verdict, compare, decide, parse_golden};

    fn suite(name: &str, items: usize) -> Suite {
        let rows: Vec<String> =
            (0..items).map(|at| format!("{{\"prompt\": \"{name} {at}\", \"completion\": \"yes\"}}")).collect();
        parse_golden(&rows.join("\n"), "g", SuiteOptions { items_max: items, ..SuiteOptions::new(name) }).unwrap()
    }

    fn batches(suites: &[Suite]) -> Batches {
        Batches::of(suites, 50, 0).unwrap()
    }

    /// Asks as a cycle does; `score` is of the candidate, the champion is always right.
    fn asked(run: &InBatches<'_>, score: impl Fn(usize) -> Option<f64>) -> [SuiteScores; 2] {
        let suite = run.suite;
        let mut sides = [vec![ItemScore::unasked(); suite.items.len()], vec![ItemScore::unasked(); suite.items.len()]];
        for batch in run.batches() {
            for at in batch {
                let unjudged = |score: Option<f64>| score.is_none().then(|| Unjudged::lasting("a fault"));
                let of = |score| ItemScore { score, unjudged: unjudged(score), unasked: false, ..ItemScore::unasked() };
                (sides[0][*at], sides[1][*at]) = (of(score(*at)), of(Some(1.0)));
            }
            if run.look(&sides[0], &sides[1]).1 != Look::Continue {
                break;
            }
        }
        sides.map(|items| SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items })
    }

    fn told(run: &InBatches<'_>, [candidate, champion]: &[SuiteScores; 2], policy: &Policy) -> SuiteReport {
        let report = compare(run.suite, &Answers::new(candidate, champion), policy).unwrap();
        run.told(report, &candidate.items, &champion.items)
    }

    fn policy() -> Policy {
        Policy { sequential: true, require: crate::Require::NotWorse, ..Policy::default() }
    }

    #[test]
    fn the_cheapest_come_first_and_what_may_not_be_asked_so_is_left_out() {
        let nats = Suite { metric: Metric::Perplexity, ..suite("nats", 400) };
        let target = Suite { target: true, ..suite("target", 400) };
        let reported = Suite { protected: false, ..suite("reported", 400) };
        let mut twins = suite("twins", 400);
        twins.items[1] = twins.items[0].clone();
        let brief = Suite { max_new_tokens: 1, ..suite("brief", 500) };
        let suites = [suite("large", 400), nats, target, reported, twins, suite("few", 59), brief, suite("small", 60)];
        assert_eq!(batches(&suites).suites, ["brief", "small", "large"]);
        assert_eq!(Batches::of(&suites[1..6], 50, 0), None);
        assert_eq!(Batches::of(&suites, 400, 0).unwrap().suites, ["brief"]);
        assert!(batches(&suites).of_suite(&suites[2], &policy()).is_none());
    }

    #[test]
    fn ties_are_safe_and_losses_are_harm_before_the_end() {
        let (suites, policy) = ([suite("s", 400)], policy());
        let run = batches(&suites).of_suite(&suites[0], &policy).unwrap();
        let ties = asked(&run, |_| Some(1.0));
        assert_eq!(run.look(&ties[0].items, &ties[1].items), (200, Look::Safe));
        let report = told(&run, &ties, &policy);
        assert_eq!(report.asked, Some(Asked { items: 200, of: 400, stopped: Stopped::Safe }));
        assert_eq!((report.n, report.pooled.as_ref().map(Paired::len)), (200, Some(POOLED_ITEMS)));
        let fallen = told(&run, &asked(&run, |_| Some(0.0)), &policy);
        assert_eq!(fallen.asked, Some(Asked { items: 50, of: 400, stopped: Stopped::Harm }));
        let mut suites = [report, fallen];
        let (pools, decision) = decide(&mut suites, None, &policy);
        assert_eq!(suites.map(|suite| suite.verdict), [Verdict::NotWorse, Verdict::Regressed]);
        assert!(!decision.promotes());
        assert_eq!(pools[0].n, 250, "no more of a suite than it brings however far it is asked");
    }

    #[test]
    fn what_is_neither_is_asked_to_its_end_and_judged_as_ever() {
        let (suites, policy) = ([suite("s", 400)], policy());
        let run = batches(&suites).of_suite(&suites[0], &policy).unwrap();
        let unclear = asked(&run, |at| Some(if at % 45 == 0 { 0.0 } else { 1.0 }));
        let report = told(&run, &unclear, &policy);
        assert_eq!(report.asked, Some(Asked { items: 400, of: 400, stopped: Stopped::End }));
        assert_eq!((report.n, report.stopped_early()), (400, false));
        let mut suites = [report];
        decide(&mut suites, None, &policy);
        assert_eq!(suites[0].verdict, Verdict::Regressed, "nine losses and no gain");
    }

    /// Items that the candidate cannot be judged on are no ties: nothing is safe beside them.
    #[test]
    fn faults_keep_a_suite_from_being_called_safe() {
        let (suites, policy) = ([suite("s", 400)], policy());
        let run = batches(&suites).of_suite(&suites[0], &policy).unwrap();
        let faulty = asked(&run, |at| (at % 5 > 0).then_some(1.0));
        let report = told(&run, &faulty, &policy);
        assert_eq!((report.asked.unwrap().items, report.verdict_where(false, false, &policy)), (400, Verdict::Void));
    }

    /// A champion that is right on 20 % has a margin of 0.02, and that takes more ties.
    #[test]
    fn the_margin_goes_by_the_champions_answers_so_far() {
        let (suites, policy) = ([suite("s", 1000)], policy());
        let run = batches(&suites).of_suite(&suites[0], &policy).unwrap();
        let mut items = vec![ItemScore::unasked(); 1000];
        for (rank, at) in run.order.iter().enumerate() {
            let score = f64::from(u8::from(rank % 5 == 0));
            items[*at] = ItemScore { score: Some(score), unasked: false, ..ItemScore::unasked() };
        }
        let (asked, look) = run.look(&items, &items);
        assert_eq!(look, Look::Safe);
        assert!((400..600).contains(&asked), "{asked}");
    }

    #[test]
    fn under_a_narrower_margin_what_was_enough_is_enough_no_more() {
        let (mut suites, policy) = ([suite("s", 400)], policy());
        let ties = asked(&batches(&suites).of_suite(&suites[0], &policy).unwrap(), |_| Some(1.0));
        let batches = batches(&suites);
        suites[0].margin = 0.01;
        let run = batches.of_suite(&suites[0], &policy).unwrap();
        let mut suites = [told(&run, &ties, &policy)];
        let (_, decision) = decide(&mut suites, None, &policy);
        assert_eq!((suites[0].asked.unwrap().stopped, suites[0].verdict), (Stopped::Unknown, Verdict::Uncertain));
        let said: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["not asked to the end, since harm was shown before (or less was enough once): s"]);
        assert!(!decision.promotes());
    }

    #[test]
    fn a_suite_that_was_spared_speaks_for_nobody() {
        let (suite, policy) = (suite("spared", 400), policy());
        let unasked = vec![ItemScore::unasked(); 400];
        let side = SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items: unasked };
        let report = compare(&suite, &Answers::new(&side, &side), &policy).unwrap();
        assert_eq!(report.asked, Some(Asked { items: 0, of: 400, stopped: Stopped::Unknown }));
        let mut suites = [report];
        assert!(!decide(&mut suites, None, &policy).1.promotes());
        assert_eq!(suites[0].verdict, Verdict::Uncertain);
    }
}
