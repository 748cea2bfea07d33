//! What is said of a stream's results: the one comparison that decides first, then all else.

use std::collections::BTreeMap;

use super::{
    bootstrap::Estimate,
    results::{ArmKept, Comparison, Results, RunKept, StepKept},
    statistics::STATISTICS,
    summary::DEFAULT,
};
use crate::bench::table::table;

/// A column that [`STATISTICS`] does not have, for it is made of two arms.
const INTRANSIGENCE: (&str, &str) =
    ("intransigence", "how much less is learned of each task than by all tasks at once (Chaudhry et al. 2018)");

/// The whole report. `picture` says where an arm's picture is.
pub(super) fn text(results: &Results, picture: impl Fn(&str) -> String) -> String {
    let mut text = decides(results);
    text += "\nEverything below is descriptive. Behind each number stands its 95 % interval: a paired percentile bootstrap over items, \
             and over orders and seeds where there are several.\n\n";
    text += &arms(results);
    text += &beside(results);
    text += &goals(results);
    text += &about(results);
    for arm in &results.arms {
        text += &of_arm(arm, results, &picture(&arm.name));
    }
    text
}

/// The comparison that was registered before anything was measured.
fn decides(results: &Results) -> String {
    let Some(Comparison { arm, against, difference, steps }) = &results.decides else {
        return "The comparison that decides, ACC of `default` against `naive`, is not there yet: both arms have to come to their end.\n"
            .to_owned();
    };
    let word = match difference.interval {
        Some((low, _)) if low > 0.0 => "better",
        Some((_, high)) if high < 0.0 => "worse",
        _ => "not told apart",
    };
    let same = match steps.0 == steps.1 {
        true => format!("the same {} optimiser steps each", steps.0),
        false => format!("{} and {} optimiser steps", steps.0, steps.1),
    };
    format!("**Decides: ACC of `{arm}` − `{against}` = {}, after {same}: {word}.**\n", shown(Some(difference), 3))
}

fn arms(results: &Results) -> String {
    columns("arm", results, |arm| &arm.statistics)
}

fn beside(results: &Results) -> String {
    let differences = columns("arm − naive", results, |arm| &arm.against_naive);
    if differences.is_empty() { String::new() } else { format!("\n{differences}") }
}

/// A row for each arm that has something, with a column for each statistic that some arm has.
fn columns(head: &str, results: &Results, of: impl Fn(&ArmKept) -> &BTreeMap<String, Estimate>) -> String {
    let known = STATISTICS.iter().map(|statistic| (statistic.key, statistic.title, statistic.digits));
    let known = known.chain([(INTRANSIGENCE.0, INTRANSIGENCE.0, 3)]);
    let there: Vec<(&str, &str, usize)> =
        known.filter(|(key, ..)| results.arms.iter().any(|arm| of(arm).contains_key(*key))).collect();
    let rows = results.arms.iter().filter(|arm| !of(arm).is_empty()).map(|arm| {
        let cells = there.iter().map(|(key, _, digits)| shown(of(arm).get(*key), *digits));
        [arm.name.clone()].into_iter().chain(cells).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let header: Vec<String> =
        [head.to_owned()].into_iter().chain(there.iter().map(|(_, title, _)| (*title).to_owned())).collect();
    table(&header, &rows)
}

/// What the default has to reach beside naive tuning and joint training.
fn goals(results: &Results) -> String {
    let Some(arm) = results.arm(DEFAULT) else { return String::new() };
    let share = |name: &str| arm.shares.get(name);
    let own = |key: &str| arm.statistics.get(key);
    // What is measured, and the least or the most that it should be.
    let wanted = [
        ("what is learned, as a share of naive's", share("learned of naive"), Bound::Least(0.95)),
        ("ACC, as a share of joint training's", share("ACC of joint"), Bound::Least(0.97)),
        ("forgetting", own("forgetting"), Bound::Most(0.01)),
        ("the change of the general suites", own("general"), Bound::Least(-0.01)),
    ];
    let rows = wanted.into_iter().filter_map(|(what, estimate, bound)| {
        let (goal, is_met) = bound.of(estimate?.value);
        let met = if is_met { "yes" } else { "no" };
        Some(vec![what.to_owned(), goal, shown(estimate, 3), met.to_owned()])
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(&["goal of default", "", "measured", "met"].map(str::to_owned), &rows))
}

/// What a number should reach, or keep to.
enum Bound {
    Least(f64),
    Most(f64),
}

impl Bound {
    /// The bound in words, and whether a number is within it.
    fn of(&self, value: f64) -> (String, bool) {
        match *self {
            Self::Least(least) => (format!("≥ {}", number(Some(least), 2)), value >= least),
            Self::Most(most) => (format!("≤ {}", number(Some(most), 2)), value <= most),
        }
    }
}

fn about(results: &Results) -> String {
    let statistics = STATISTICS.iter().map(|statistic| (statistic.title, statistic.about)).chain([INTRANSIGENCE]);
    let words: String = statistics.map(|(title, about)| format!("- **{title}**: {about}.\n")).collect();
    let tasks = results
        .tasks
        .iter()
        .map(|task| [task.name.clone(), task.metric.clone(), task.rows.to_string(), task.items.to_string()].to_vec());
    let tasks = table(&["task", "score", "rows", "items"].map(str::to_owned), &tasks.collect::<Vec<_>>());
    let general = results.general.iter().map(|(suite, items)| format!("`{suite}` ({items} items)"));
    let general = general.collect::<Vec<_>>().join(", ");
    let orders: String =
        (1..).zip(&results.orders).map(|(at, order)| format!("- order {at}: {}\n", order.join(", "))).collect();
    let seeds = results.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let (done, all) = results.done;
    let skipped: String =
        results.skipped.iter().map(|(arm, reason)| format!("- the arm `{arm}` was left out: {reason}\n")).collect();
    format!(
        "\n{words}\n{tasks}\nBeside the tasks: {general}.\n\n{orders}- seeds: {seeds}\n{skipped}\n\
         {done} of {all} steps are done. {}, on {}, commit {}.\n",
        results.model,
        results.machine.describe(),
        results.commit,
    )
}

fn of_arm(arm: &ArmKept, results: &Results, picture: &str) -> String {
    let mut text = format!("\n### {}\n\n{}.\n", arm.name, capitalised(&arm.about));
    if !arm.unknown.is_empty() {
        text += &format!("The program does not know {}: left at what it does.\n", arm.unknown.join(", "));
    }
    if arm.runs.is_empty() {
        return text;
    }
    text += &format!("\n![{}]({picture})\n", arm.name);
    for run in &arm.runs {
        text += &of_run(run, results);
    }
    text
}

fn of_run(run: &RunKept, results: &Results) -> String {
    let order = run.order.map_or_else(String::new, |order| format!("order {order}, "));
    let names = results.orders.get(run.order.unwrap_or(1) - 1).cloned().unwrap_or_default();
    let header: Vec<String> =
        ["after", "gate", "steps", "seconds", "norm"].map(str::to_owned).into_iter().chain(names).collect();
    let row = |(t, after, step): (usize, String, Option<&StepKept>)| {
        let scores = (1..=run.matrix.tasks()).map(|i| number(run.matrix.get(t, i), 3));
        let about = [
            after,
            step.map_or_else(String::new, gate),
            step.and_then(|step| step.optimiser_steps).map_or_else(String::new, |steps| steps.to_string()),
            number(step.and_then(|step| step.seconds), 0),
            number(step.and_then(|step| step.norm), 2),
        ];
        about.into_iter().chain(scores).collect::<Vec<String>>()
    };
    let last = run.matrix.tasks();
    let mut rows = vec![row((0, "base".to_owned(), None))];
    for (at, step) in run.steps.iter().enumerate() {
        let t = if step.tasks.len() > 1 { last } else { at + 1 };
        rows.push(row((t, step.tasks.join(" + "), Some(step))));
    }
    let mut text = format!("\n{order}seed {}\n\n{}", run.seed, table(&header, &rows));
    for step in run.steps.iter().filter(|step| step.outcome != "promoted") {
        text += &format!("\n- {}: {} ({})", step.tasks.join(" + "), step.outcome, step.reasons.join(", "));
    }
    if text.ends_with(')') {
        text.push('\n');
    }
    text
}

fn gate(step: &StepKept) -> String {
    if step.forced { format!("{}, by hand", step.outcome) } else { step.outcome.clone() }
}

fn shown(estimate: Option<&Estimate>, digits: usize) -> String {
    let Some(Estimate { value, interval }) = estimate else { return String::new() };
    let interval = interval.map_or_else(String::new, |(low, high)| {
        format!(" [{}, {}]", number(Some(low), digits), number(Some(high), digits))
    });
    format!("{}{interval}", number(Some(*value), digits))
}

/// With a minus of its own width, and without one before zeros alone.
fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value else { return String::new() };
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_met_from_their_side() {
        assert_eq!(Bound::Least(-0.01).of(-0.01), ("≥ −0.01".to_owned(), true));
        assert_eq!(Bound::Most(0.01).of(0.011), ("≤ 0.01".to_owned(), false));
    }

    #[test]
    fn numbers_have_one_minus_and_nothing_below_zero_is_zero() {
        assert_eq!(number(Some(-0.0004), 3), "0.000");
        assert_eq!(number(Some(-0.25), 2), "−0.25");
        assert_eq!(number(None, 2), "");
        let estimate = Estimate { value: 0.5, interval: Some((-0.1, 0.7)) };
        assert_eq!(shown(Some(&estimate), 1), "0.5 [−0.1, 0.7]");
        assert_eq!(shown(Some(&Estimate { interval: None, ..estimate }), 1), "0.5");
    }
}
