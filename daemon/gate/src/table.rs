use crate::{
    Report, SuiteReport,
    report::{interval, role, scores},
};

const HEAD: [&str; 8] = ["suite", "role", "metric", "n", "champion", "candidate", "difference", "verdict"];

/// The columns that hold numbers stand flush right.
const RIGHT: [bool; 8] = [false, false, false, true, true, true, true, false];

pub(crate) fn render(report: &Report) -> String {
    let mut rows: Vec<[String; 8]> = vec![HEAD.map(str::to_owned)];
    rows.extend(report.suites.iter().map(row));
    let widths: [usize; 8] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).zip(RIGHT).map(|((cell, width), right)| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out.push_str(&format!("\n{}\n", report.headline()));
    for reason in &report.decision.reasons {
        out.push_str(&format!("  {reason}\n"));
    }
    if !report.notes.is_empty() {
        out.push_str("\nTo be known:\n");
    }
    for note in &report.notes {
        out.push_str(&format!("  {}\n", note.replace('\n', " ")));
    }
    out
}

fn row(suite: &SuiteReport) -> [String; 8] {
    let [champion, candidate, difference] = scores(suite);
    [
        suite.suite.clone(),
        role(suite).to_owned(),
        suite.metric.to_string(),
        suite.n.to_string(),
        champion,
        candidate,
        format!("{difference} ({})", interval(suite)),
        suite.verdict.as_str().to_owned(),
    ]
}
