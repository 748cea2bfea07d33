use crate::{
    Report, SuiteReport,
    columns::{beside_anchor, interval, items, role, scores, seen},
};

const COLUMNS: usize = 10;

const HEAD: [&str; COLUMNS] =
    ["suite", "role", "metric", "n", "champion", "candidate", "difference", "could see", "anchor", "verdict"];

/// The columns that hold numbers stand flush right.
const RIGHT: [bool; COLUMNS] = [false, false, false, true, true, true, true, true, true, false];

impl Report {
    /// The comparison as a table for a terminal, with the decision below.
    pub fn table(&self) -> String {
        let mut rows: Vec<[String; COLUMNS]> = vec![HEAD.map(str::to_owned)];
        rows.extend(self.suites.iter().map(row));
        let widths: [usize; COLUMNS] =
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
        out.push_str(&format!("\n{}\n", self.headline()));
        for reason in &self.decision.reasons {
            out.push_str(&format!("  {reason}\n"));
        }
        if !self.notes.is_empty() {
            out.push_str("\nTo be known:\n");
        }
        for note in &self.notes {
            out.push_str(&format!("  {}\n", note.replace('\n', " ")));
        }
        out
    }
}

fn row(suite: &SuiteReport) -> [String; COLUMNS] {
    let [champion, candidate, difference] = scores(suite);
    [
        suite.suite.clone(),
        role(suite).to_owned(),
        suite.metric.to_string(),
        items(suite),
        champion,
        candidate,
        format!("{difference} ({})", interval(suite)),
        seen(suite),
        beside_anchor(suite),
        suite.verdict.as_str().to_owned(),
    ]
}
