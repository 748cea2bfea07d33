use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::TokenStream;

use super::file::{Declared, Said};

/// The renames that are followed from a name to where it is defined.
const RENAMES_MAX: usize = 32;

/// Module by module, by their paths from the crate's root, what is said in a crate.
pub(super) struct Modules(BTreeMap<Vec<String>, Said>);

/// That a module names something of another.
pub(super) struct Import<'a> {
    pub(super) from: &'a [String],
    /// Where it is defined.
    pub(super) to: &'a [String],
    /// As it is written.
    pub(super) name: String,
}

impl Modules {
    /// # Panics
    /// Where a file is missing or is no Rust.
    pub(super) fn read(root: &Path) -> Self {
        let mut modules = Self(BTreeMap::new());
        let folder = root.parent().unwrap();
        modules.add(Vec::new(), tokens_of(root), folder, folder);
        modules
    }

    /// Adds a module, whose own modules lie in `folder` and whose `#[path]` goes from `here`.
    fn add(&mut self, path: Vec<String>, tokens: TokenStream, folder: &Path, here: &Path) {
        let mut said = Said::in_module(tokens);
        for Declared { name, file, body } in std::mem::take(&mut said.modules) {
            let below = folder.join(&name);
            let child = [path.clone(), vec![name.clone()]].concat();
            if let Some(body) = body {
                self.add(child, body, &below, &below);
                continue;
            }
            let candidates = match file {
                Some(file) => vec![here.join(file)],
                None => vec![folder.join(format!("{name}.rs")), below.join("mod.rs")],
            };
            let found: Option<PathBuf> = candidates.iter().find(|file| file.is_file()).cloned();
            let file = found.unwrap_or_else(|| panic!("no file of module {}: {candidates:?}", child.join("::")));
            self.add(child, tokens_of(&file), &below, file.parent().unwrap());
        }
        self.0.insert(path, said);
    }

    /// All that modules name of others in the same crate.
    pub(super) fn imports(&self) -> impl Iterator<Item = Import<'_>> {
        self.0.iter().flat_map(move |(from, said)| {
            let imported = said.imports.iter().map(|import| &import.path).chain(&said.globs);
            imported.chain(&said.paths).filter_map(move |name| {
                let to = self.resolve(from, name, RENAMES_MAX)?;
                Some(Import { from, to, name: name.join("::") })
            })
        })
    }

    /// The module in which what a module names is defined, if it is one of this crate.
    fn resolve(&self, from: &[String], name: &[String], renames_left: usize) -> Option<&[String]> {
        let renames_left = renames_left.checked_sub(1)?;
        let (first, mut rest) = name.split_first()?;
        let mut at = match first.as_str() {
            "crate" => self.module(&[])?,
            "self" => self.module(from)?,
            "super" => self.module(from.split_last()?.1)?,
            first => match self.look_up(from, first, renames_left)? {
                Found::Module(module) => module,
                Found::Item(module) => return Some(module),
            },
        };
        while let Some((name, later)) = rest.split_first() {
            at = match name.as_str() {
                "super" => self.module(at.split_last()?.1)?,
                name => match self.look_up(at, name, renames_left) {
                    Some(Found::Module(module)) => module,
                    Some(Found::Item(module)) => return Some(module),
                    // What a macro makes is where it stands.
                    None => return Some(at),
                },
            };
            rest = later;
        }
        Some(at)
    }

    fn look_up(&self, module: &[String], name: &str, renames_left: usize) -> Option<Found<'_>> {
        let child = [module, &[name.to_owned()]].concat();
        if let Some(child) = self.module(&child) {
            return Some(Found::Module(child));
        }
        let own = self.module(module)?;
        let said = &self.0[own];
        if said.items.contains(name) {
            return Some(Found::Item(own));
        }
        if let Some(import) = said.imports.iter().find(|import| import.name == name) {
            // A name of another crate is not defined here.
            let to = self.resolve(own, &import.path, renames_left)?;
            let is_module = import.path.last().is_some_and(|last| to.last() == Some(last));
            return Some(if is_module { Found::Module(to) } else { Found::Item(to) });
        }
        let is_of_this_crate = |glob: &&Vec<String>| {
            glob.first().is_some_and(|first| ["crate", "self", "super"].contains(&first.as_str()))
        };
        said.globs.iter().filter(is_of_this_crate).find_map(|glob| {
            let of = self.resolve(own, glob, renames_left)?;
            if of == own { None } else { self.look_up(of, name, renames_left.checked_sub(1)?) }
        })
    }

    fn module(&self, path: &[String]) -> Option<&[String]> {
        self.0.get_key_value(path).map(|(path, _)| path.as_slice())
    }
}

enum Found<'a> {
    Module(&'a [String]),
    /// Something else, in this module.
    Item(&'a [String]),
}

fn tokens_of(file: &Path) -> TokenStream {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
