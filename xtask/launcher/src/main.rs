//! `cargo xtask`: builds the chores, and becomes the one that is asked for.
//!
//! A chore that runs the program or its tests has the whole workspace built here, at once: built alone, the chores have their
//! dependencies with fewer features, and all that they share with the program would be compiled a second time.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// The chores that need the whole workspace.
const WHOLE: [&str; 5] = ["crash", "demo", "hostile", "stream", "test"];

/// What asks a chore for its options alone.
const HELP: [&str; 2] = ["-h", "--help"];

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let has = |known: &[&str], argument: &OsString| argument.to_str().is_some_and(|text| known.contains(&text));
    let whole = arguments.first().is_some_and(|chore| has(&WHOLE, chore));
    let whole = whole && !arguments.iter().any(|argument| has(&HELP, argument));
    let mut cargo = Command::new(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
    cargo.arg("build").args(if whole {
        ["--workspace", "--bins"].as_slice()
    } else {
        &["--quiet", "--package", "xtask"]
    });
    // What `cargo run` says of this package is not meant for others: build scripts that watch these variables (ring's, below lance)
    // would run anew, and all above them compile anew, at every change between `cargo xtask` and cargo.
    let foreign = |name: &OsString| {
        name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    };
    let foreign: Vec<OsString> = env::vars_os().map(|(name, _)| name).filter(foreign).collect();
    foreign.iter().for_each(|name| {
        cargo.env_remove(name);
    });
    if !cargo.status()?.success() {
        return Ok(ExitCode::FAILURE);
    }
    // Beside this program, wherever the target folder is.
    let mut chore = Command::new(env::current_exe()?.with_file_name("xtask"));
    foreign.iter().for_each(|name| {
        chore.env_remove(name);
    });
    Err(chore.args(arguments).exec())
}
