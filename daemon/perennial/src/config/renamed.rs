//! Keys that were called otherwise once: they are still read, as what they are called now.

use std::{borrow::Cow, ops::Range};

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The section, what its key was called, and what it is called now.
const RENAMED: &[(&str, &str, &str)] = &[("replay", "anchor", "base_answers")];

/// What to say of one that is used.
fn note((section, old, new): (&str, &str, &str)) -> String {
    format!("`{section}.{old}` is called `{section}.{new}` now: the old name is still read")
}

/// Renames what a file has under an old name, and says so.
///
/// # Errors
/// Where a key stands under both names: its place, and what is wrong.
pub(super) fn in_file(root: &mut DeTable<'_>) -> Result<Vec<String>, (Range<usize>, String)> {
    let mut notes = Vec::new();
    for renamed @ (section, old, new) in RENAMED {
        let Some(DeValue::Table(table)) = root.get_mut(*section).map(Spanned::get_mut) else { continue };
        let Some((key, value)) = table.remove_entry(*old) else { continue };
        if table.contains_key(*new) {
            return Err((key.span(), format!("{}, but not beside the new one", note(*renamed))));
        }
        table.insert(Spanned::new(key.span(), Cow::Borrowed(*new)), value);
        notes.push(note(*renamed));
    }
    Ok(notes)
}

/// What a key that is set by an old name is called now, and what to say of it; `None` where it has no old name.
pub(super) fn key(key: &str) -> Option<(String, String)> {
    RENAMED.iter().find_map(|renamed @ (section, old, new)| {
        let below = key.strip_prefix(&format!("{section}.{old}"))?;
        let is_it = below.is_empty() || below.starts_with('.');
        is_it.then(|| (format!("{section}.{new}{below}"), note(*renamed)))
    })
}

/// Renames what a configuration has that an older program froze.
pub(super) fn in_frozen(frozen: &mut Value) {
    for (section, old, new) in RENAMED {
        let Some(table) = frozen.get_mut(*section).and_then(Value::as_object_mut) else { continue };
        if let Some(value) = table.remove(*old) {
            table.entry(*new).or_insert(value);
        }
    }
}
