use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable of this name.
    Environment(String),
    /// A flag, as it was written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Where each key that was set comes from, by its dotted path (`gate.suite[0].name`).
pub(crate) type Origins = BTreeMap<String, Origin>;

/// The line and column, counted from 1, of a byte offset.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The place of the key that a message about a table names, where that stands in a line below the table's start; else the start.
pub(super) fn of_named_key(text: &str, start: usize, message: &str) -> usize {
    let (Some(key), Some(below)) = (message.split('`').nth(1), text.get(start..)) else { return start };
    let mut offset = start;
    for line in below.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let named = line.trim_start().strip_prefix(key);
        if named.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return offset + indent;
        }
        offset += line.len();
    }
    start
}

/// The places of all keys of a file.
pub(super) fn of_file(path: &Path, text: &str, table: &DeTable<'_>) -> Origins {
    let mut origins = Origins::new();
    walk_table("", table, &mut |key, offset| {
        let (line, _) = line_and_column(text, offset);
        origins.insert(key, Origin::File { path: path.to_owned(), line });
    });
    origins
}

fn walk_table(prefix: &str, table: &DeTable<'_>, found: &mut impl FnMut(String, usize)) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        walk_value(path, key.span().start, value, found);
    }
}

fn walk_value(path: String, offset: usize, value: &Spanned<DeValue<'_>>, found: &mut impl FnMut(String, usize)) {
    match value.get_ref() {
        DeValue::Table(table) => walk_table(&path, table, found),
        DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
            for (at, item) in items.iter().enumerate() {
                walk_value(format!("{path}[{at}]"), item.span().start, item, found);
            }
        }
        _ => found(path, offset),
    }
}
