//! The scores as a table, and the differences as another.

use super::{Evaluated, EvaluatedSuite, PairDifference, Score};

const SCORES: [&str; 5] = ["suite", "metric", "adapter", "n", "score"];
const DIFFERENCES: [&str; 6] = ["suite", "adapter", "against", "n", "differ", "difference"];

/// For a terminal.
pub(crate) fn render(evaluated: &Evaluated) -> String {
    let mut scores = vec![SCORES.map(str::to_owned)];
    let mut differences = vec![DIFFERENCES.map(str::to_owned)];
    let mut left_out = String::new();
    for EvaluatedSuite { suite, metric, scores: of_suite, differences: pairs, left_out: unasked, .. } in
        &evaluated.suites
    {
        for Score { adapter, n, score, lower, upper } in of_suite {
            let score = if *n == 0 { "–".to_owned() } else { format!("{score:.3} ({lower:.3} … {upper:.3})") };
            scores.push([suite.clone(), metric.to_string(), adapter.clone(), n.to_string(), score]);
        }
        for PairDifference { adapter, against, n, discordant, mean, lower, upper } in pairs {
            let difference = match n {
                0 => "–".to_owned(),
                _ => format!("{mean:+.3} ({lower:+.3} … {upper:+.3})"),
            };
            let (n, differ) = (n.to_string(), discordant.to_string());
            differences.push([suite.clone(), adapter.clone(), against.clone(), n, differ, difference]);
        }
        if *unasked > 0 {
            left_out.push_str(&format!("\n{suite}: {unasked} items cannot be asked, and are left out"));
        }
    }
    let mut text = columns(&scores);
    if differences.len() > 1 {
        text.push_str(&format!(
            "\n\nDifferences, item by item; above 0 the first is better (perplexity: in nats per token)\n{}",
            columns(&differences)
        ));
    }
    text + &left_out
}

/// Numbers of items stand flush right.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let is_number = |column: usize| rows.iter().skip(1).all(|row| row[column].chars().all(|c| c.is_ascii_digit()));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match is_number(column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use perennial_gate::Metric;

    use super::*;

    #[test]
    fn the_table_reads_well() {
        let score =
            |adapter: &str, n, score, lower, upper| Score { adapter: adapter.to_owned(), n, score, lower, upper };
        let pair = |n, mean, lower, upper| PairDifference {
            adapter: "0123456789ab".to_owned(),
            against: "base".to_owned(),
            n,
            discordant: n / 4,
            mean,
            lower,
            upper,
        };
        let evaluated = Evaluated {
            adapters: vec!["base".to_owned(), "0123456789ab".to_owned()],
            suites: vec![
                EvaluatedSuite {
                    suite: "auto:tickets".to_owned(),
                    metric: Metric::JsonFieldF1,
                    items: 200,
                    left_out: 0,
                    scores: vec![
                        score("base", 200, 0.0423, 0.02, 0.0812),
                        score("0123456789ab", 199, 0.9, 0.85, 0.9331),
                    ],
                    differences: vec![pair(199, 0.8571, 0.79, 0.9123)],
                },
                EvaluatedSuite {
                    suite: "prose".to_owned(),
                    metric: Metric::Perplexity,
                    items: 12,
                    left_out: 3,
                    scores: vec![score("base", 12, 15.31, 12.0, 20.5), score("0123456789ab", 0, 0.0, 0.0, 0.0)],
                    differences: vec![pair(0, 0.0, -50.0, 50.0)],
                },
            ],
        };
        insta::assert_snapshot!(render(&evaluated));
        let alone = Evaluated {
            adapters: vec!["base".to_owned()],
            suites: vec![EvaluatedSuite { differences: vec![], ..evaluated.suites[0].clone() }],
        };
        assert!(!render(&alone).contains("Differences"));
    }
}
