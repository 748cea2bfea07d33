use std::fmt::Write as _;

use toml::{Table, Value};

use super::{
    Loaded,
    place::{Origin, Origins},
};

/// The values in force as TOML that can be read back, each with where it comes from.
///
/// # Errors
/// Where a value cannot be written as TOML (a number beyond 63 bits).
pub(crate) fn dump(loaded: &Loaded) -> Result<String, toml::ser::Error> {
    let table = Table::try_from(&loaded.config)?;
    let mut text = String::new();
    write_table(&mut text, "", "", &table, &loaded.origins);
    Ok(text.trim_start().to_owned())
}

/// `header` is the table as TOML names it, `path` the table as origins name it: `gate.suite` and `gate.suite[0]`.
fn write_table(text: &mut String, header: &str, path: &str, table: &Table, origins: &Origins) {
    let below = |base: &str, key: &str| if base.is_empty() { key.to_owned() } else { format!("{base}.{key}") };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        let origin = origins.get(&below(path, key)).unwrap_or(&Origin::Default);
        let _ = writeln!(text, "{key} = {value}  # {origin}");
    }
    for (key, value) in table.iter().filter(|(_, value)| is_section(value)) {
        let (header, path) = (below(header, key), below(path, key));
        match value {
            Value::Table(section) if section.is_empty() => {}
            Value::Table(section) => {
                let _ = writeln!(text, "\n[{header}]");
                write_table(text, &header, &path, section, origins);
            }
            Value::Array(sections) => {
                for (at, section) in sections.iter().filter_map(Value::as_table).enumerate() {
                    let _ = writeln!(text, "\n[[{header}]]");
                    write_table(text, &header, &format!("{path}[{at}]"), section, origins);
                }
            }
            _ => {}
        }
    }
}

fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => items.iter().any(Value::is_table),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources, load};
    use super::*;

    #[test]
    fn dump_tells_origins_and_reads_back() {
        let environment = vec![("PERENNIAL_GATE__AUTO__ITEMS_MAX".to_owned(), "5".to_owned())];
        let set = vec!["state.dir=/tmp/state".to_owned(), "gate.auto.domain.ner.margin=0.1".to_owned()];
        let loaded = load(&Sources { environment, set, ..Default::default() }).unwrap();
        let text = dump(&loaded).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), loaded.config);
        insta::assert_snapshot!(text);
    }
}
