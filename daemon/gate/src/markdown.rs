use std::fmt::Write;

use crate::{
    Report, SuiteReport, WorstItem,
    report::{interval, role},
};

/// The longest text of a worst item that the Markdown shows, in characters; the JSON keeps more.
const SHOWN_CHARS_MAX: usize = 400;

pub(crate) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "# {}\n", report.headline())?;
    for reason in &report.decision.reasons {
        writeln!(out, "- {}", escape(&reason.to_string()))?;
    }
    writeln!(out, "\n## Suites\n")?;
    writeln!(out, "| suite | role | metric | n | champion | candidate | difference | interval | margin | verdict |")?;
    writeln!(out, "|---|---|---|---:|---:|---:|---:|---:|---:|---|")?;
    for suite in &report.suites {
        let SuiteReport { metric, n, champion, candidate, difference, margin, verdict, .. } = suite;
        writeln!(
            out,
            "| {} | {} | {metric} | {n} | {champion:.3} | {candidate:.3} | {:+.3} | {} | {margin} | {} |",
            escape(&suite.suite),
            role(suite),
            difference.mean,
            interval(suite),
            verdict.as_str(),
        )?;
    }
    let (percent, resamples) = (100.0 * report.policy.confidence, report.policy.resamples);
    writeln!(
        out,
        "\nDifferences are candidate minus champion, and positive is better; for perplexity they are nats per token. Each \
         end of an interval holds at {percent} % confidence (paired bootstrap, {resamples} resamples, no tighter than \
         Student's t)."
    )?;
    for suite in report.suites.iter().filter(|suite| suite.unscored > 0) {
        writeln!(out, "\n{} items of {} could not be scored and were left out.", suite.unscored, escape(&suite.suite))?;
    }
    for suite in report.suites.iter().filter(|suite| !suite.worst.is_empty()) {
        writeln!(out, "\n## Where {} lost most\n", escape(&suite.suite))?;
        for item in &suite.worst {
            write_item(out, item)?;
        }
    }
    Ok(())
}

fn write_item(out: &mut String, item: &WorstItem) -> std::fmt::Result {
    let WorstItem { id, champion_score, candidate_score, .. } = item;
    writeln!(out, "- `{id}`: {champion_score:.3} → {candidate_score:.3}")?;
    let lines = [
        ("question", Some(&item.question)),
        ("reference", Some(&item.reference)),
        ("champion", item.champion_answer.as_ref()),
        ("candidate", item.candidate_answer.as_ref()),
    ];
    for (name, text) in lines {
        if let Some(text) = text {
            writeln!(out, "  - {name}: {}", code(text))?;
        }
    }
    Ok(())
}

/// One line of code: whatever a model said cannot become Markdown, HTML or a new line of the report.
fn code(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS_MAX).collect();
    let more = if text.chars().nth(SHOWN_CHARS_MAX).is_some() { " …" } else { "" };
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    format!("{fence} {line} {fence}{more}")
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
