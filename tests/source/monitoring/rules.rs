use std::{collections::BTreeSet, fs};

use perennial_tests::repository;

use super::{exported, names::unknown, rules, text};

#[test]
fn every_rule_is_complete() {
    for rule in rules() {
        let name = &rule.alert;
        let camel = name.strip_prefix("Perennial").is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_uppercase())
                && rest.chars().all(|letter| letter.is_ascii_alphanumeric())
        });
        assert!(camel, "{name} is no name in CamelCase with the prefix");
        let severity = rule.labels["severity"].as_str();
        assert!(["info", "warning", "critical"].contains(&severity), "{name}: {severity}");
        assert!(
            !rule.annotations["summary"].contains("{{"),
            "{name}: the summary groups alerts, and has to stay the same"
        );
        let templated = rule.annotations["description"].contains("{{ $labels.instance }}");
        assert!(templated || name == "PerennialWatchdog", "{name}: the description names nobody");
        let page = format!("file:///usr/share/doc/perennial/runbooks/{name}.md");
        assert_eq!(rule.annotations["runbook_url"], page);
        assert!(rule.lasts.is_none_or(|lasts| lasts.ends_with(['m', 'h'])), "{name}");
    }
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let alerts: BTreeSet<String> = rules().into_iter().map(|rule| rule.alert).collect();
    let folder = fs::read_dir(repository().join("docs/runbooks")).unwrap();
    let pages: BTreeSet<String> =
        folder.map(|page| page.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(alerts, pages);
    for page in pages {
        let text = text(&format!("docs/runbooks/{page}.md"));
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        let expected = ["## Meaning", "## Likely causes", "## What to do", "## How to silence"];
        assert_eq!(headings, [&[format!("# {page}").as_str()], &expected[..]].concat());
    }
}

#[test]
fn every_metric_in_the_rules_is_exported_with_these_labels() {
    let exported = exported();
    assert!(exported.len() > 50, "{exported:?}");
    for rule in rules() {
        let unknown = unknown(&rule.expr, &exported);
        assert!(unknown.is_empty(), "{}: {unknown:?} is not in METRICS.md", rule.alert);
    }
}

/// What the files `rules.*test.yml` hold a rule to: that it fires, and when it does not.
#[test]
fn every_rule_is_tested_to_fire_and_to_be_silent() {
    let files = ["config/monitoring/rules.test.yml", "config/monitoring/rules.week.test.yml"];
    let tests = files.map(|file| serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&text(file)).unwrap());
    let of = |name: String| {
        let cases = tests.iter().flat_map(|file| file["tests"].as_sequence().unwrap());
        let mut cases = cases.filter(move |case| case["name"] == name.as_str());
        cases.next().map(|case| case["alert_rule_test"].as_sequence().unwrap().clone())
    };
    for rule in rules().into_iter().filter(|rule| rule.alert != "PerennialWatchdog") {
        let severity = rule.labels["severity"].as_str();
        let name = format!("{} ({severity})", rule.alert);
        let fires = |at: &serde_yaml_ng::Value| {
            let alerts = at["exp_alerts"].as_sequence().unwrap();
            alerts.iter().any(|alert| alert["exp_labels"]["severity"] == severity)
        };
        let edge = of(format!("{name} fires")).unwrap_or_else(|| panic!("{name} is not tested to fire"));
        let edge: Vec<bool> = edge.iter().map(fires).collect();
        assert_eq!(edge, [false, true], "{name}: the last minute before it fires, and the first at which it does");
        let silent = of(format!("{name} stays silent")).unwrap_or_else(|| panic!("{name} is not tested to be silent"));
        assert!(!silent.is_empty() && !silent.iter().any(fires), "{name}");
    }
}
