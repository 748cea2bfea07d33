//! What is shipped for Prometheus and Grafana: its rules, their pages and their tests, and the names in all of them.

mod dashboard;
mod names;
mod promtool;
mod rules;

use std::{collections::BTreeMap, fs};

use perennial_tests::repository;
use serde::Deserialize;

/// A rule of `config/monitoring/rules.yml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    lasts: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules() -> Vec<Rule> {
    let read: Groups = serde_yaml_ng::from_str(&text("config/monitoring/rules.yml")).unwrap();
    read.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// Every metric of METRICS.md, which is made from the code, with its type and its labels.
fn exported() -> BTreeMap<String, (String, Vec<String>)> {
    let text = text("METRICS.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let labels = cells[2].split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        (cells[0].trim_end_matches('`').to_owned(), (cells[1].to_owned(), labels))
    })
    .collect()
}
