use std::fmt::{Result, Write};

use super::escape;
use crate::{
    Against, AnchorReport, Asked, PoolReport, Report, SuiteReport,
    columns::{interval, items, role, scores, seen},
};

/// What was found suite by suite, and of several together.
pub(super) fn write(out: &mut String, report: &Report) -> Result {
    writeln!(out, "| suite | role | metric | n | champion | candidate | difference | interval | margin | verdict |")?;
    writeln!(out, "|---|---|---|---:|---:|---:|---:|---:|---:|---|")?;
    for suite in &report.suites {
        let SuiteReport { metric, margin, verdict, .. } = suite;
        let [champion, candidate, difference] = scores(suite);
        writeln!(
            out,
            "| {} | {} | {metric} | {} | {champion} | {candidate} | {difference} | {} | {margin:.3} | {} |",
            escape(&suite.suite),
            role(suite),
            items(suite),
            interval(suite),
            verdict.as_str(),
        )?;
    }
    writeln!(
        out,
        "\nDifferences are candidate minus champion, and positive is better; for perplexity they are nats per token, over \
         all tokens of a suite. Each end of an interval holds at {} % confidence.",
        (1e6 * report.policy.confidence_charged()).round() / 1e4
    )?;
    write_power(out, report)?;
    write_asked(out, &report.suites)?;
    write_anchor(out, report)?;
    write_pools(out, &report.pools)
}

fn write_power(out: &mut String, report: &Report) -> Result {
    writeln!(out, "\n## What they could see\n")?;
    writeln!(
        out,
        "| suite | items that differ | smallest difference | by chance as low | as high | items it takes | margin |"
    )?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---|")?;
    for suite in report.suites.iter().filter(|suite| suite.n > 0) {
        let SuiteReport { discordant, items_needed, margin, margin_by, harm, gain, .. } = suite;
        let why = margin_by.map_or_else(|| "as configured".to_owned(), |by| by.why(&report.policy));
        writeln!(
            out,
            "| {} | {discordant} | {} | {} | {} | {} | {margin:.3}: {why} |",
            escape(&suite.suite),
            seen(suite),
            chance(*harm),
            chance(*gain),
            items_needed.map_or_else(|| "–".to_owned(), |items| items.to_string()),
        )?;
    }
    writeln!(
        out,
        "\nThe smallest difference is what so many items with so much unrest show in 4 of 5 cases. The items it takes tell a loss \
         of the margin from chance, beside all other suites. Of all candidates that lost nothing, at most {} in 100 are refused.",
        100.0 * report.policy.refused_by_chance()
    )
}

/// How far each suite was asked, where some were not asked to their end.
fn write_asked(out: &mut String, suites: &[SuiteReport]) -> Result {
    let mut asked = suites.iter().filter_map(|suite| Some((suite, suite.asked?))).peekable();
    if asked.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "\n## Asked in batches\n\n| suite | asked | of | no further, since |\n|---|---:|---:|---|")?;
    for (suite, asked) in asked {
        let Asked { items, of, .. } = asked;
        writeln!(out, "| {} | {items} | {of} | {} |", escape(&suite.suite), asked.why())?;
    }
    Ok(())
}

fn write_anchor(out: &mut String, report: &Report) -> Result {
    let mut beside = report.suites.iter().filter_map(|suite| Some((suite, suite.anchor.as_ref()?))).peekable();
    if beside.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "\n## Beside the anchor\n")?;
    writeln!(out, "| suite | n | items that differ | anchor | candidate | difference | smallest | margin | verdict |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|---:|---|")?;
    for (suite, anchor) in beside {
        let AnchorReport { n, discordant, score, candidate, difference, margin, smallest_seen, verdict, .. } = anchor;
        writeln!(
            out,
            "| {} | {n} | {discordant} | {score:.3} | {candidate:.3} | {:+.3} | {:.3} | {margin:.3} | {} |",
            escape(&suite.suite),
            difference.mean,
            smallest_seen.unwrap_or_default(),
            verdict.as_str(),
        )?;
    }
    Ok(())
}

fn write_pools(out: &mut String, pools: &[PoolReport]) -> Result {
    if pools.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Suites together\n")?;
    writeln!(out, "| what | beside | suites | n | items that differ | difference in margins | smallest | verdict |")?;
    writeln!(out, "|---|---|---:|---:|---:|---:|---:|---|")?;
    for PoolReport { pool, against, suites, n, discordant, difference, smallest_seen, verdict, .. } in pools {
        let beside = match against {
            Against::Champion => "the champion",
            Against::Anchor => "the anchor",
        };
        writeln!(
            out,
            "| {pool} | {beside} | {} | {n} | {discordant} | {difference:+.2} | {smallest_seen:.2} | {} |",
            suites.len(),
            verdict.as_str(),
        )?;
    }
    Ok(())
}

fn chance(chance: Option<f64>) -> String {
    chance.map_or_else(|| "–".to_owned(), |chance| format!("{chance:.4}"))
}
