use std::fmt::Write;

use crate::{CutAnswers, PluginSummary, Report, RewardTraining, SuiteReport, Trend, UnjudgedItem, Verdict, WorstItem};

mod suites;

/// The longest text of a worst item that the Markdown shows, in characters; the JSON keeps more.
const SHOWN_CHARS_MAX: usize = 400;

impl Report {
    /// The report as people read it, with the items on which the candidate lost most.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = write_report(&mut out, self);
        out
    }
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "# {}\n", report.headline())?;
    for reason in &report.decision.reasons {
        writeln!(out, "- {}", escape(&reason.to_string()))?;
    }
    if !report.notes.is_empty() {
        writeln!(out, "\n## To be known\n")?;
    }
    for note in &report.notes {
        writeln!(out, "- {}", escape(note))?;
    }
    writeln!(out, "\n## Suites\n")?;
    suites::write(out, report)?;
    write_cut(out, &report.suites)?;
    write_unjudged(out, report)?;
    if let Some(training) = &report.training {
        write_training(out, training)?;
    }
    for suite in report.suites.iter().filter(|suite| !suite.worst.is_empty()) {
        writeln!(out, "\n## Where {} lost most\n", escape(&suite.suite))?;
        for item in &suite.worst {
            write_item(out, item)?;
        }
    }
    Ok(())
}

/// What was cut off may have come to a right end: a suite whose answers are cut says less.
fn write_cut(out: &mut String, suites: &[SuiteReport]) -> std::fmt::Result {
    for suite in suites {
        let Some(CutAnswers { max_new_tokens, candidate, champion }) = suite.cut else { continue };
        if candidate + champion > 0 {
            let (name, n) = (escape(&suite.suite), suite.n);
            writeln!(
                out,
                "\nAnswers to {name} that were cut off at max_new_tokens of {max_new_tokens}: {champion} of {n} of the \
                 champion's, {candidate} of {n} of the candidate's."
            )?;
        }
    }
    Ok(())
}

fn write_unjudged(out: &mut String, report: &Report) -> std::fmt::Result {
    let mut suites = report.suites.iter().filter(|suite| suite.unjudged > 0).peekable();
    if suites.peek().is_some() {
        writeln!(
            out,
            "\n## Items that could not be judged\n\nThey are left out on both sides. Beyond a share of {} of its items \
             (gate.unjudged_ratio_max) a suite is void: it speaks for nothing, and a protected one stands against \
             promotion.",
            report.policy.unjudged_ratio_max
        )?;
    }
    for suite in suites {
        let (name, all) = (escape(&suite.suite), suite.n + suite.unjudged);
        writeln!(
            out,
            "\n{name}: {} of {all}{}\n",
            suite.unjudged,
            if suite.verdict == Verdict::Void { ", void" } else { "" }
        )?;
        for UnjudgedItem { id, side, reason } in &suite.unjudged_items {
            let side = side.map_or_else(String::new, |side| format!(", the {}'s", side.as_str()));
            writeln!(out, "- {}{side}: {}", code(id), code(reason))?;
        }
        let more = suite.unjudged - suite.unjudged_items.len();
        if more > 0 {
            writeln!(out, "- {more} more")?;
        }
    }
    Ok(())
}

fn write_training(out: &mut String, training: &RewardTraining) -> std::fmt::Result {
    let RewardTraining { optimised, steps, reward, length, kl, entropy, clip_ratio, plugins, .. } = training;
    let rows = [
        ("reward", *reward),
        ("completion tokens", Some(*length)),
        ("completions cut off", training.truncated),
        ("completions unscored", training.unscored),
        ("groups with equal rewards", training.zero_variance),
        ("KL, nats per token", *kl),
        ("entropy, nats per token", *entropy),
        ("tokens clipped", *clip_ratio),
    ];
    let mut said = Vec::new();
    writeln!(out, "\n## Learning from rewards\n")?;
    writeln!(
        out,
        "{steps} steps against {}; the means of the first and the last fifth:\n",
        escape(&optimised.join(", "))
    )?;
    writeln!(out, "| figure | first | last |\n|---|---:|---:|")?;
    for (name, trend) in rows {
        if let Some(Trend { first, last, .. }) = trend {
            writeln!(out, "| {name} | {first:.3} | {last:.3} |")?;
        }
    }
    for plugin in plugins {
        let PluginSummary { name, version, weight, outcomes, reward, parts } = plugin;
        let own = reward.iter().map(|reward| ("reward", reward));
        for (part, Trend { first, last, .. }) in own.chain(parts.iter().map(|(part, trend)| (part.as_str(), trend))) {
            writeln!(out, "| {}: {} | {first:.3} | {last:.3} |", escape(name), escape(part))?;
        }
        let outcomes: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        said.push(format!("- {} {} (weight {weight}): {}", escape(name), escape(version), outcomes.join(", ")));
    }
    writeln!(out, "\nCompletions by plugin and by what became of them:\n\n{}", said.join("\n"))?;
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
