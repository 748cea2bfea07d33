//! A score that rises never turns a promotion into a rejection: over all rules, the pools, the anchor and strict policies.

use perennial_gate::{
    AnchorReport, Asked, Difference, Look, Metric, POOLED_ITEMS, Paired, Policy, Require, Scale, Sequential, Stopped,
    SuiteReport, Uncertain, decide,
};
use proptest::prelude::*;

/// A suite as it is drawn: how it is scored, its items, and which of them share a prompt.
#[derive(Clone, Debug)]
struct Drawn {
    scale: Scale,
    margin: f64,
    protected: bool,
    target: bool,
    clustered: bool,
    own: Vec<i8>,
    beside_anchor: Option<Vec<i8>>,
}

/// Differences are eighths: sums of them are exact.
fn paired(scale: Scale, clustered: bool, eighths: &[i8]) -> Paired {
    let value = |eighths: &i8| match scale {
        Scale::Binary => f64::from(eighths.signum()),
        _ => f64::from(*eighths) / 8.0,
    };
    let paired = Paired::new(scale, eighths.iter().map(value).map(Difference::from).collect());
    if clustered { paired.in_clusters((0..eighths.len()).map(|at| at / 3).collect()) } else { paired }
}

fn promotes(drawn: &[Drawn], policy: &Policy) -> bool {
    let report = |(at, drawn): (usize, &Drawn)| {
        let name = format!("s{at}");
        let beside = |eighths: &Vec<i8>| {
            AnchorReport::measured(paired(drawn.scale, drawn.clustered, eighths), [0.5, 0.5], &name, policy)
        };
        let report = SuiteReport {
            protected: drawn.protected,
            target: drawn.target,
            anchor: drawn.beside_anchor.as_ref().map(beside),
            ..SuiteReport::new(&name, Metric::TokenF1, drawn.margin)
        };
        report.measured(paired(drawn.scale, drawn.clustered, &drawn.own), policy)
    };
    let mut suites: Vec<SuiteReport> = drawn.iter().enumerate().map(report).collect();
    decide(&mut suites, None, policy).1.promotes()
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let scale =
        prop_oneof![Just(Scale::Binary), Just(Scale::Graded { reach: 1.0 }), Just(Scale::Nats { margin: 0.05 })];
    // Small suites and such as stand alone; mostly ties, and now and then a crowd of losses.
    let items = || prop_oneof![0..12_usize, 55..90_usize];
    let eighths = |items| prop::collection::vec(prop_oneof![4 => Just(0_i8), 1 => -8..=8_i8], items);
    let own = items().prop_flat_map(eighths);
    let anchor = prop::option::of(items().prop_flat_map(eighths));
    (scale, prop_oneof![Just(0.0), Just(0.05), Just(0.2)], any::<[bool; 3]>(), own, anchor).prop_map(
        |(scale, margin, [protected, target, clustered], own, beside_anchor)| Drawn {
            scale,
            margin,
            protected,
            target,
            clustered,
            own,
            beside_anchor,
        },
    )
}

/// The items of a batch.
const BATCH: usize = 40;

/// Whether the gate promotes where all protected suites that are no targets are asked in batches, until one shows harm.
fn promotes_in_batches(drawn: &[Vec<i8>], target: &[i8], policy: &Policy) -> bool {
    let binary = |eighths: &[i8]| paired(Scale::Binary, false, eighths);
    let mut suites = vec![
        SuiteReport { protected: false, target: true, ..SuiteReport::new("target", Metric::ExactMatch, 0.05) }
            .measured(binary(target), policy),
    ];
    for (at, all) in drawn.iter().enumerate() {
        let harm_shown = suites.iter().any(|suite| suite.asked.is_some_and(|asked| asked.stopped == Stopped::Harm));
        let (mut test, mut items, mut stopped) = (Sequential::new(1.0, drawn.len(), policy), 0, Stopped::End);
        for batch in all.chunks(BATCH) {
            items += batch.len();
            let values: Vec<f64> = batch.iter().map(|eighths| f64::from(eighths.signum())).collect();
            match test.observe(&values, 0.2) {
                Look::Continue => continue,
                Look::Safe => stopped = Stopped::Safe,
                Look::Harm => stopped = Stopped::Harm,
            }
            break;
        }
        let (items, stopped) = if harm_shown { (0, Stopped::Unknown) } else { (items, stopped) };
        let report = SuiteReport {
            asked: Some(Asked { items, of: all.len(), stopped }),
            pooled: Some(binary(&all[..items.min(POOLED_ITEMS)])),
            ..SuiteReport::new(format!("s{at}"), Metric::ExactMatch, 0.2)
        };
        suites.push(report.measured(binary(&all[..items]), policy));
    }
    decide(&mut suites, None, policy).1.promotes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_score_that_rises_never_turns_a_promotion_in_batches_into_a_rejection(
        suites in prop::collection::vec(
            (190..330_usize, 0..30_i32).prop_flat_map(|(items, losses)| {
                let eighths = prop_oneof![
                    100 => Just(0_i8), 6 => Just(1_i8), (1 + losses as u32) => Just(-1_i8)
                ];
                prop::collection::vec(eighths, items)
            }),
            1..4,
        ),
        rises in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..40),
        strict in any::<bool>(),
        earlier_tries in 0..2_u32,
    ) {
        let policy = Policy {
            resamples: 200,
            confidence: 0.8,
            false_alarm_max: 0.3,
            uncertain: if strict { Uncertain::Reject } else { Uncertain::Allow },
            earlier_tries,
            sequential: true,
            ..Policy::default()
        };
        let target = [1; 20];
        let mut risen = suites.clone();
        for (suite, item) in rises {
            let suite = &mut risen[suite.index(suites.len())];
            let at = item.index(suite.len());
            suite[at] = (suite[at] + 1).min(1);
        }
        if promotes_in_batches(&suites, &target, &policy) {
            prop_assert!(promotes_in_batches(&risen, &target, &policy), "{risen:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_score_that_rises_never_turns_a_promotion_into_a_rejection(
        suites in prop::collection::vec(drawn(), 1..5),
        rises in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..=16_i8, any::<bool>()), 1..12),
        strict in any::<bool>(),
        not_worse in any::<bool>(),
        earlier_tries in 0..3_u32,
    ) {
        let policy = Policy {
            resamples: 200,
            confidence: 0.9,
            false_alarm_max: 0.3,
            chance_gain_max: 0.3,
            uncertain: if strict { Uncertain::Reject } else { Uncertain::Allow },
            require: if not_worse { Require::NotWorse } else { Require::Improved },
            earlier_tries,
            ..Policy::default()
        };
        let mut risen = suites.clone();
        for (suite, item, by, is_anchor) in rises {
            let suite = suite.get(&suites);
            let at = suites.iter().position(|other| std::ptr::eq(other, suite)).unwrap();
            let items = match (&mut risen[at], is_anchor) {
                (Drawn { beside_anchor: Some(items), .. }, true) => items,
                (Drawn { own, .. }, _) => own,
            };
            if !items.is_empty() {
                let at = item.index(items.len());
                items[at] = (items[at] + by).min(8);
            }
        }
        if promotes(&suites, &policy) {
            prop_assert!(promotes(&risen, &policy), "{risen:?}");
        }
    }
}
