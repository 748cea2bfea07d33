//! A plugin's schema and a configuration held to it: two lines of JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perennial_reward::check_config;
use serde_json::Value;

/// A schema that refers to itself may look at each level of a configuration many times; the loader's limits end that, and
/// there are none here.
const CONFIG_DEPTH_MAX: usize = 3;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|text: &str| {
    let (schema, config) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(config) = serde_json::from_str(config) else { return };
    if depth(&config) <= CONFIG_DEPTH_MAX {
        let _ = check_config(schema, &config);
    }
});
