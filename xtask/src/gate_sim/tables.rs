use std::fmt::Write;

use perennial_gate::{Policy, items_needed, tests_of_harm};

use super::{
    cycles::{CYCLES, Run},
    sequential,
    share::{runs, share},
    world::{Domain, MARGIN, policy, refuses},
};

/// How much is simulated.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Candidates for each cell.
    candidates: u64,
    /// Runs of cycles for each row.
    cycles: u64,
    /// Whether rows are simulated that take long.
    is_whole: bool,
}

/// Rows whose runs have more items than this, over all their cells, take long.
const ROW_ITEMS_MAX: usize = 15_000;

impl Size {
    /// What the documentation shows.
    pub(super) const QUICK: Self = Self { candidates: 1000, cycles: 24, is_whole: true };
    /// A tenth of a point more or less.
    pub(super) const FULL: Self = Self { candidates: 10_000, cycles: 100, is_whole: true };
    /// The rows of [`Size::QUICK`] that do not take long.
    #[cfg(test)]
    pub(super) const BRIEF: Self = Self { is_whole: false, ..Self::QUICK };

    fn has_row(self, items: usize) -> bool {
        self.is_whole || items <= ROW_ITEMS_MAX
    }
}

/// The unrests that are simulated: shares of the answers that change though nothing is lost.
const CHURNS: [f64; 3] = [0.02, 0.10, 0.22];
/// The numbers of domains.
const DOMAINS: [usize; 3] = [1, 3, 10];
/// The loss that the promises are about.
const LOSS: f64 = 0.05;

/// What the goals are.
const CAUGHT_MIN: f64 = 0.99;
const REFUSED_MAX: f64 = 0.05;
const LOST_MAX: f64 = 0.06;
const PROMOTED_MIN: f64 = 40.0;

/// All tables, and the promises that are not kept.
pub(super) fn all(size: Size) -> (String, Vec<String>) {
    let (mut out, mut missed) = (String::new(), Vec::new());
    // Writing into a String cannot fail.
    let _ = power(&mut out, size);
    let _ = planted(&mut out, size, &mut missed);
    let _ = harmless(&mut out, size, &mut missed);
    let _ = fifty(&mut out, size, &mut missed);
    let _ = batches(&mut out, size, &mut missed);
    (out, missed)
}

/// Seeds of different cells do not meet.
fn seed(cell: usize, run: u64) -> u64 {
    (cell as u64) << 32 | run
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn power(out: &mut String, size: Size) -> std::fmt::Result {
    writeln!(out, "**Refused, by true loss and items** (one protected suite, 10 % of the answers change):\n")?;
    let losses = [0.0, 0.02, 0.05, 0.10, 0.20];
    let heads: Vec<String> = losses.iter().map(|loss| format!("{} points", 100.0 * loss)).collect();
    writeln!(out, "| items | {} |\n|---:|{}", heads.join(" | "), "---:|".repeat(losses.len()))?;
    for (row, items) in [20, 60, 200, 600, 1100, 3000].into_iter().enumerate() {
        if !size.has_row(losses.len() * items) {
            continue;
        }
        let cell = |(column, loss): (usize, &f64)| {
            let domain = Domain { items, churn: 0.1, loss: *loss };
            percent(share(size.candidates, |run| refuses(&[domain], false, seed(100 + 10 * row + column, run))))
        };
        let cells: Vec<String> = losses.iter().enumerate().map(cell).collect();
        writeln!(out, "| {items} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

fn planted(out: &mut String, size: Size, missed: &mut Vec<String>) -> std::fmt::Result {
    writeln!(
        out,
        "**A loss of 5 points in one domain, at the recommended number of items** (caught, at so many items each):\n"
    )?;
    writeln!(out, "| domains | 2 % change | 10 % change | 22 % change |\n|---:|---:|---:|---:|")?;
    for (row, domains) in DOMAINS.into_iter().enumerate() {
        let items =
            |churn: f64| items_needed(MARGIN, churn, tests_of_harm(domains, false), &policy(0)).unwrap_or_default();
        if !size.has_row(CHURNS.into_iter().map(|churn| domains * items(churn)).sum()) {
            continue;
        }
        let cell = |(column, churn): (usize, f64)| {
            let items = items(churn);
            let mut suites = vec![Domain { items, churn, loss: 0.0 }; domains];
            suites[0].loss = LOSS;
            let caught = share(size.candidates, |run| refuses(&suites, false, seed(200 + 10 * row + column, run)));
            if caught < CAUGHT_MIN {
                missed.push(format!("{domains} domains, churn {churn}: {} caught", percent(caught)));
            }
            format!("{} ({items})", percent(caught))
        };
        let cells: Vec<String> = CHURNS.into_iter().enumerate().map(cell).collect();
        writeln!(out, "| {domains} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

fn harmless(out: &mut String, size: Size, missed: &mut Vec<String>) -> std::fmt::Result {
    writeln!(
        out,
        "**A candidate that lost nothing, refused** (the worst of 2, 10 and 22 % of the answers changing; with an anchor):\n"
    )?;
    let sizes = [20, 60, 200, 1000];
    let heads: Vec<String> = sizes.iter().map(|items| format!("{items} items each")).collect();
    writeln!(out, "| domains | {} |\n|---:|{}", heads.join(" | "), "---:|".repeat(sizes.len()))?;
    for (row, domains) in DOMAINS.into_iter().enumerate() {
        if !size.has_row(sizes.into_iter().map(|items| 2 * domains * items * CHURNS.len()).sum()) {
            continue;
        }
        let cell = |(column, items): (usize, usize)| {
            let refused = |(at, churn): (usize, f64)| {
                let suites = vec![Domain { items, churn, loss: 0.0 }; domains];
                share(size.candidates, |run| refuses(&suites, true, seed(300 + 30 * row + 5 * column + at, run)))
            };
            let worst = CHURNS.into_iter().enumerate().map(refused).fold(0.0, f64::max);
            if worst > REFUSED_MAX {
                missed.push(format!("{domains} domains of {items}: {} of the harmless refused", percent(worst)));
            }
            percent(worst)
        };
        let cells: Vec<String> = sizes.into_iter().enumerate().map(cell).collect();
        writeln!(out, "| {domains} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

fn fifty(out: &mut String, size: Size, missed: &mut Vec<String>) -> std::fmt::Result {
    writeln!(
        out,
        "**{CYCLES} cycles** (600 fresh items beside the champion and 2400 beside the anchor, of a pool of 3000):\n\n\
         | change | anchor | each loses 0.5 points: lost in all | each harmless: promoted | each gains 0.5: promoted |\n\
         |---:|---|---:|---:|---:|"
    )?;
    for (row, (churn, has_anchor)) in [(0.1, false), (0.1, true), (0.22, false), (0.22, true)].into_iter().enumerate() {
        // One row shows what the rule is there for.
        if !size.is_whole && row != 1 {
            continue;
        }
        let played = |column: usize, loss: f64| {
            runs(size.cycles, |run| Run { loss, churn, has_anchor }.play(seed(500 + 10 * row + column, run)))
        };
        let over = |value: f64| value / size.cycles as f64;
        let last = |scores: &Vec<f64>| scores.last().copied().unwrap_or_default();
        let lost = over(played(0, 0.005).iter().map(|run| super::world::SCORE - last(&run.scores)).sum());
        let promoted = |column, loss| over(played(column, loss).iter().map(|run| run.promoted as f64).sum());
        let (harmless, better) = (promoted(1, 0.0), promoted(2, -0.005));
        if has_anchor && lost > LOST_MAX {
            missed.push(format!("churn {churn}: {:.1} points lost over {CYCLES} cycles", 100.0 * lost));
        }
        if harmless < PROMOTED_MIN {
            missed.push(format!("churn {churn}: {harmless:.1} harmless ones of {CYCLES} promoted"));
        }
        let anchor = if has_anchor { "yes" } else { "no" };
        let (churn, lost) = (100.0 * churn, 100.0 * lost);
        writeln!(out, "| {churn} % | {anchor} | {lost:.1} points | {harmless:.1} | {better:.1} |")?;
    }
    writeln!(out)
}

/// One suite whose loss is known, and what the promises ask of several.
fn batches(out: &mut String, size: Size, missed: &mut Vec<String>) -> std::fmt::Result {
    let all = |domains: usize| {
        let policy = Policy { sequential: true, ..policy(0) };
        items_needed(MARGIN, 0.1, tests_of_harm(domains, false), &policy).unwrap_or_default()
    };
    writeln!(
        out,
        "**Asked in batches until it is known** (one protected suite of {} items, 10 % change):\n\n\
         | true loss | asked | refused | refused where all are asked at once |\n|---:|---:|---:|---:|",
        all(1)
    )?;
    for (row, loss) in [-0.05, 0.0, 0.02, 0.05, 0.10, 0.20].into_iter().enumerate() {
        let domain = Domain { items: all(1), churn: 0.1, loss };
        let cell = seed(600 + row, 0);
        let (asked, refused) = sequential::play_all(&[domain], false, size.candidates, cell);
        let at_once = share(size.candidates, |run| refuses(&[domain], false, cell | run));
        let loss = 100.0 * loss;
        writeln!(out, "| {loss} points | {} | {} | {} |", percent(asked), percent(refused), percent(at_once))?;
    }
    writeln!(
        out,
        "\n**Several suites asked in batches** (the recommended items, and 200; 10 % change; asked of all items):\n\n\
         | domains | items each | nothing lost: refused | asked | 5 points lost in one: caught | asked | 20 points: asked |\n\
         |---:|---:|---:|---:|---:|---:|---:|"
    )?;
    let rows = DOMAINS.into_iter().flat_map(|domains| [(domains, all(domains), true), (domains, 200, false)]);
    for (row, (domains, items, is_promise)) in rows.enumerate() {
        if !size.has_row(4 * domains * items) {
            continue;
        }
        let played = |column: usize, loss: f64, has_anchor: bool| {
            let mut suites = vec![Domain { items, churn: 0.1, loss: 0.0 }; domains];
            suites[domains / 2].loss = loss;
            sequential::play_all(&suites, has_anchor, size.candidates, seed(650 + 10 * row + column, 0))
        };
        let ((harmless, refused), (lost, caught), (plain, _)) =
            (played(0, 0.0, true), played(1, LOSS, false), played(2, 0.2, false));
        if is_promise && caught < CAUGHT_MIN {
            missed.push(format!("{domains} domains in batches: {} caught", percent(caught)));
        }
        if refused > REFUSED_MAX {
            missed
                .push(format!("{domains} domains of {items} in batches: {} of the harmless refused", percent(refused)));
        }
        writeln!(
            out,
            "| {domains} | {items} | {} | {} | {} | {} | {} |",
            percent(refused),
            percent(harmless),
            percent(caught),
            percent(lost),
            percent(plain)
        )?;
    }
    writeln!(out)
}
