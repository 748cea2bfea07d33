//! Which modules of a crate import each other, read from its sources.
//!
//! A folder's `mod.rs` and the files beside it are one thing, so only siblings are compared: each with all that lies below it.
//! What a module gives out of another's is where it is defined. Tests do not count.

mod file;
mod modules;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use modules::Modules;

/// Sibling modules that import each other, directly or by way of one another.
#[derive(Debug)]
pub(crate) struct Circle {
    /// Below the module that they are siblings in.
    pub(crate) modules: BTreeSet<String>,
    ties: BTreeSet<String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modules: Vec<&str> = self.modules.iter().map(String::as_str).collect();
        write!(f, "{}", modules.join(" ↔ "))?;
        self.ties.iter().try_for_each(|tie| write!(f, "\n    {tie}"))
    }
}

/// Who imports whom, and how that is written.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<String>>>;

/// The circles of the crate in a folder: of its library and of its program.
pub(crate) fn circles_of(folder: &Path) -> Vec<Circle> {
    let roots = ["lib.rs", "main.rs"].map(|root| folder.join("src").join(root));
    let found: Vec<&PathBuf> = roots.iter().filter(|root| root.is_file()).collect();
    assert!(!found.is_empty(), "{} is no crate", folder.display());
    found.into_iter().flat_map(|root| circles(root)).collect()
}

/// The circles of the crate that begins in a file, its `lib.rs` or `main.rs`.
pub(crate) fn circles(root: &Path) -> Vec<Circle> {
    let modules = Modules::read(root);
    // By the module that they are siblings in.
    let mut levels: BTreeMap<&[String], Imports<'_>> = BTreeMap::new();
    for import in modules.imports() {
        let (from, to) = (import.from, import.to);
        let in_common = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        // Else one of them lies within the other.
        if let (Some(one), Some(other)) = (from.get(in_common), to.get(in_common)) {
            let tie = format!("{} imports {}", from.join("::"), import.name);
            let of_level = levels.entry(&from[..in_common]).or_default();
            of_level.entry(one).or_default().entry(other).or_default().insert(tie);
        }
    }
    levels.iter().flat_map(|(level, imports)| circles_among(level, imports)).collect()
}

fn circles_among(level: &[String], imports: &Imports<'_>) -> Vec<Circle> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|from| (*from, reached_from(from, imports))).collect();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for from in imports.keys().copied() {
        let reaches = |one: &str, other: &str| reached.get(one).is_some_and(|reached| reached.contains(other));
        if !reaches(from, from) || seen.contains(from) {
            continue;
        }
        let members: BTreeSet<&str> =
            imports.keys().copied().filter(|to| reaches(from, to) && reaches(to, from)).collect();
        let ties = members.iter().flat_map(|member| &imports[member]).filter(|(to, _)| members.contains(*to));
        let full = |name: &&str| level.iter().map(String::as_str).chain([*name]).collect::<Vec<_>>().join("::");
        circles.push(Circle {
            modules: members.iter().map(full).collect(),
            ties: ties.flat_map(|(_, ties)| ties.iter().cloned()).collect(),
        });
        seen.extend(members);
    }
    circles
}

/// The modules at the top of the crate that begins in a file, each with the others that it imports, if any.
pub(crate) fn at_the_top(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in Modules::read(root).imports() {
        if let (Some(from), Some(to)) = (import.from.first(), import.to.first())
            && from != to
        {
            found.entry(from.clone()).or_default().insert(to.clone());
        }
    }
    found
}

/// All that a module imports, and what these import.
fn reached_from<'a>(from: &str, imports: &Imports<'a>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        let next = imports.get(module).into_iter().flat_map(BTreeMap::keys).copied();
        let new: Vec<&str> = next.filter(|to| reached.insert(*to)).collect();
        waiting.extend(new);
    }
    reached
}
