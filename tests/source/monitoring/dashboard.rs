use serde_json::Value;

use super::{exported, names::unknown, text};

/// What Grafana draws without a plugin.
const PANELS: [&str; 3] = ["row", "stat", "timeseries"];

#[test]
fn every_panel_asks_for_what_is_exported_and_needs_no_plugin() {
    let dashboard: Value = serde_json::from_str(&text("config/monitoring/dashboard.json")).unwrap();
    let exported = exported();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.map(|panel| panel["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Health", "Data and drift", "Training", "Rewards", "Gate and retention", "Politeness"]);
    for panel in panels {
        let title = &panel["title"];
        assert!(PANELS.iter().any(|kind| panel["type"] == *kind), "{title}: {}", panel["type"]);
        let Some(targets) = panel["targets"].as_array() else { continue };
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("$instance"), "{title} shows all daemons at once");
            let expression = expression.replace("$instance", "a").replace("$__rate_interval", "1m");
            let unknown = unknown(&expression, &exported);
            assert!(unknown.is_empty(), "{title}: {unknown:?} is not in METRICS.md");
        }
    }
}
