//! A most for every number, by what it counts: a key that is added has one without anybody's doing, and what stands above it is
//! a slip of the hand that would end in an overflow, in memory that no machine has, or never.

use serde_json::Value;

use super::{Config, problems::Problem};

/// A pebibyte.
const BYTES_MAX: f64 = (1_u64 << 50) as f64;
/// The longest time that is waited for anything, in seconds: thirty years, which every clock can count.
pub(super) const SECONDS_MAX: f64 = 1e9;
/// Rows, samples and instructions.
const ROWS_MAX: f64 = 1e12;
/// More than any machine has.
const THREADS_MAX: f64 = 4096.0;
/// Whatever else is counted. Three of them multiply without an overflow.
const COUNT_MAX: f64 = 1e6;
/// Whatever else is measured: single precision holds it.
const MEASURE_MAX: f64 = 1e30;

/// What a key may be at most, by its last word and its type; `None` where any number will do.
fn ceiling(key: &str, is_float: bool) -> Option<f64> {
    let name = key.rsplit('.').next().unwrap_or(key);
    match name {
        "seed" => None,
        "capacity" | "fuel_per_sample" | "rows_max" | "age_samples_min" | "samples_min" | "samples_max" => {
            Some(ROWS_MAX)
        }
        "threads" => Some(THREADS_MAX),
        _ if name.ends_with("bytes_max") => Some(BYTES_MAX),
        _ if name.contains("seconds") => Some(SECONDS_MAX),
        "epochs" => Some(COUNT_MAX),
        _ if is_float => Some(MEASURE_MAX),
        _ => Some(COUNT_MAX),
    }
}

/// Every number that is beyond its most.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    // A configuration is structs, strings and numbers, which always serialize.
    let whole = serde_json::to_value(config).unwrap_or_default();
    walk("", &whole, &mut found);
    found
}

fn walk(key: &str, value: &Value, found: &mut Vec<Problem>) {
    match value {
        // What a plugin is told is the plugin's own to judge.
        Value::Object(_) if key.starts_with("reward.plugin[") && key.ends_with(".config") => {}
        Value::Object(table) => {
            for (name, value) in table {
                walk(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, value, found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(&format!("{key}[{at}]"), item, found);
            }
        }
        Value::Number(number) => {
            let most = ceiling(key, number.is_f64()).unwrap_or(f64::INFINITY);
            if number.as_f64().is_some_and(|value| value.abs() > most) {
                found.push(Problem { key: key.to_owned(), problem: format!("is {number}: must be {most} at most") });
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use toml::{Table, Value as Toml};

    use super::*;
    use crate::config::validate;

    /// Every number of the configuration in turn, by its key.
    fn numbers(key: &str, table: &Table) -> Vec<(String, bool)> {
        let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
        let of = |(name, value): (&String, &Toml)| match value {
            Toml::Table(table) => numbers(&below(name), table),
            Toml::Integer(_) => vec![(below(name), false)],
            Toml::Float(_) => vec![(below(name), true)],
            _ => vec![],
        };
        table.iter().flat_map(of).collect()
    }

    fn with(key: &str, value: Toml) -> Config {
        let mut whole = Table::try_from(Config::default()).unwrap();
        let mut table = &mut whole;
        let (sections, name) = key.rsplit_once('.').unwrap();
        for section in sections.split('.') {
            table = table.get_mut(section).and_then(Toml::as_table_mut).unwrap();
        }
        table.insert(name.to_owned(), value);
        // Small integers refuse what they cannot hold, which names the key as well.
        whole.try_into().unwrap_or_default()
    }

    #[test]
    fn the_defaults_are_below_and_no_number_is_without_a_most() {
        assert_eq!(problems(&Config::default()), []);
        let keys = numbers("", &Table::try_from(Config::default()).unwrap());
        assert!(keys.len() > 60, "{}", keys.len());
        for (key, is_float) in keys.into_iter().filter(|(key, is_float)| ceiling(key, *is_float).is_some()) {
            let huge = if is_float { Toml::Float(1e300) } else { Toml::Integer(i64::MAX) };
            let config = with(&key, huge);
            let refused =
                config == Config::default() || validate::problems(&config).iter().any(|found| found.key == key);
            assert!(refused, "{key} has no most");
            if is_float {
                let config = with(&key, Toml::Float(f64::NAN));
                assert!(validate::problems(&config).iter().any(|found| found.key == key), "{key} may be nan");
            }
        }
    }

    #[test]
    fn what_a_plugin_is_told_is_its_own() {
        let text = "[[reward.plugin]]\nname = \"a\"\nfile = \"a.wasm\"\nconfig = { id = 1000000000000 }";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(problems(&config), []);
        let text = text.replace("config = { id =", "fuel_per_sample = 9000000000000000\nconfig = { id =");
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(problems(&config)[0].key, "reward.plugin[0].fuel_per_sample");
    }
}
