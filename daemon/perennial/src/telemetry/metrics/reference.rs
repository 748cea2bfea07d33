//! METRICS.md, made from what is registered.

use std::fmt::Write;

use super::registry::Known;

const HEAD: &str = "\
# Metrics

What `/metrics` exports, made from the code: `perennial metrics > METRICS.md` writes it anew. Counters begin at zero with the
process, and so do all labels that are known beforehand. Labels are closed sets, names of the configuration or domains, and
bounded in number; those of what is gone are removed. Times are seconds since 1970. The alerts and the dashboard over them are
in [config/monitoring](config/monitoring).

| name | type | labels | unit | meaning |
|---|---|---|---|---|
";

/// Endings of names, and the unit that each says. The first that fits counts.
const UNITS: &[(&str, &str)] = &[
    ("tokens_per_second", "tokens per second"),
    ("timestamp_seconds", "seconds since 1970"),
    ("time_seconds", "seconds since 1970"),
    ("seconds", "seconds"),
    ("bytes", "bytes"),
    ("ratio", "ratio"),
    ("nats", "nats"),
    ("tokens", "tokens"),
    ("samples", "samples"),
    ("rows", "rows"),
    ("files", "files"),
    ("items", "items"),
    ("answers", "answers"),
    ("fuel", "instructions"),
];

/// A row for each, in their order.
pub(super) fn markdown(metrics: Vec<Known>) -> String {
    let mut text = HEAD.to_owned();
    for Known { name, kind, labels, help } in metrics {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let help = help.replace('|', "\\|");
        // Writing to a string does not fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {} | {help} |", labels.join(", "), unit(&name));
    }
    text
}

fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    UNITS.iter().find(|(ending, _)| name.ends_with(ending)).map_or("", |(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[test]
    fn the_committed_reference_is_what_is_registered() {
        let committed = include_str!("../../../../../METRICS.md");
        let own = Metrics::new().unwrap().reference();
        assert!(committed == own, "write it anew: perennial metrics > METRICS.md");
    }

    #[test]
    fn metrics_without_a_value_are_there_with_their_labels() {
        let own = Metrics::new().unwrap().reference();
        let row = "| `perennial_gate_suite_score` | gauge | `suite`, `model` |  | The last score";
        assert!(own.contains(row), "{own}");
        assert!(own.contains("| `perennial_train_tokens_total` | counter |  | tokens |"), "{own}");
    }
}
