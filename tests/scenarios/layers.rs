//! How the program's modules depend on each other: what HTTP may know, and that nothing depends on itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use perennial_tests::repository;

/// The modules at the top of the program, each with those that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// What HTTP may import besides modules that import nothing: what the daemon can be asked, and what it answers with.
const HTTP_KNOWS: [&str; 3] = ["answers", "config", "ports"];

fn imports() -> Imports {
    let source = repository().join("daemon/perennial/src");
    let mut found = Imports::new();
    visit(&source, &mut |path| {
        let name = path.strip_prefix(&source).unwrap();
        let top = name.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let is_test = name.iter().any(|part| part == "tests" || part == "tests.rs");
        if is_test || name.extension().is_none_or(|ending| ending != "rs") || top == "main" {
            return;
        }
        let is_root = matches!(name.iter().count(), 1) || name.iter().nth(1).is_some_and(|file| file == "mod.rs");
        let text = code(&fs::read_to_string(path).unwrap());
        let own = found.entry(top.clone()).or_default();
        let prefixes: &[&str] = if is_root { &["crate::", "super::"] } else { &["crate::"] };
        own.extend(prefixes.iter().flat_map(|prefix| named(&text, prefix)).filter(|module| *module != top));
    });
    let modules: BTreeSet<String> = found.keys().cloned().collect();
    found.values_mut().for_each(|imported| imported.retain(|module| modules.contains(module)));
    found
}

fn visit(folder: &Path, file: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { visit(&path, file) } else { file(&path) }
    }
}

/// Without comments and without the tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect()
}

/// The first names behind a prefix, in a list of braces too.
fn named(text: &str, prefix: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first = |text: &str| text.chars().take_while(|c| is_word(*c)).collect::<String>();
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(|c| is_word(c) || c == ':') {
            continue;
        }
        let behind = &text[at + prefix.len()..];
        let Some(list) = behind.strip_prefix('{') else {
            names.push(first(behind));
            continue;
        };
        let (mut depth, mut begins) = (1, true);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => begins = depth == 1,
                c if begins && is_word(c) => {
                    names.push(first(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// The modules that are reached from one by imports.
fn reached<'a>(imports: &'a Imports, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in &imports[module] {
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn imports_are_read_as_they_are_written() {
    let text =
        code("use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e;\n// crate::f\nlet x = crate::g::h(mycrate::i);");
    assert_eq!(named(&text, "crate::"), ["a", "d", "e", "g"]);
    let imports = imports();
    assert!(imports["http"].contains("ports") && imports["service"].contains("ports"), "{imports:?}");
    assert!(reached(&imports, "wire").contains("answers"));
}

#[test]
fn http_knows_what_the_daemon_can_be_asked_and_nothing_behind_it() {
    let imports = imports();
    for module in &imports["http"] {
        assert!(
            HTTP_KNOWS.contains(&module.as_str()) || imports[module].is_empty(),
            "http imports {module}, which imports {:?}: ask for it in ports/daemon.rs",
            imports[module]
        );
    }
}

#[test]
fn no_module_of_the_program_depends_on_itself() {
    let imports = imports();
    for module in imports.keys() {
        let reached = reached(&imports, module);
        let circle: Vec<&&str> =
            reached.iter().filter(|other| self::reached(&imports, other).contains(module.as_str())).collect();
        assert!(!reached.contains(module.as_str()), "{module} imports itself by way of {circle:?}");
    }
}
