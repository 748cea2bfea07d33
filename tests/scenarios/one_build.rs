//! Demo, tests, lints and docs share what was compiled: no crate is built for one of them with other features than for
//! another. A small one that is has all above it compiled again; below lance that is half an hour.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use perennial_tests::repository;

/// Each asks cargo for all that the one before it does.
const BUILDS: [(&str, &[&str]); 3] = [
    ("cargo build -p perennial", &["-p", "perennial", "-e", "normal,build"]),
    // `cargo xtask demo` and `test`, and the docs.
    ("cargo build --workspace", &["--workspace", "-e", "normal,build"]),
    // The lints too.
    ("cargo test --workspace", &["--workspace", "-e", "normal,build,dev"]),
];

/// Crates with their features, each as often as it is compiled: those of build scripts and macros may differ from others.
fn crates(arguments: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = [&["tree", "--offline", "--locked", "--prefix", "none", "-f", "{p}|{f}"], arguments].concat();
    let output = Command::new(cargo).args(&asked).current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "cargo {asked:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some((name, features)) = line.trim_end_matches(" (*)").split_once('|') {
            crates.entry(name.to_owned()).or_default().insert(features.to_owned());
        }
    }
    crates
}

#[test]
fn each_crate_is_compiled_once_for_all() {
    let builds = BUILDS.map(|(name, arguments)| (name, crates(arguments)));
    assert!(builds[0].1.keys().any(|name| name.starts_with("lance v")), "lance is one of them");
    let mut twice = Vec::new();
    for pair in builds.windows(2) {
        let [(part_name, part), (whole_name, whole)] = pair else { unreachable!() };
        for (name, features) in part.iter().filter(|(name, features)| !features.is_subset(&whole[*name])) {
            twice.push(format!("{name}: {features:?} in `{part_name}`, {:?} in `{whole_name}`", whole[name]));
        }
    }
    assert!(
        twice.is_empty(),
        "these are compiled twice, with all above them; give the program, or the tests' default features, a dependency \
         that brings what differs:\n{}",
        twice.join("\n")
    );
}
