//! What the gate catches and what it refuses, from its own code: `docs/gate.md` shows the tables and pictures.

mod cycles;
mod pictures;
mod sequential;
mod share;
mod tables;
mod world;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use perennial_tests::repository;

use self::tables::Size;
use crate::output;

/// How to simulate.
#[derive(Args)]
pub(crate) struct Options {
    /// Fewer runs: the numbers of docs/gate.md, in a minute or two; fails where that page has others
    #[arg(long)]
    quick: bool,
    /// Write the tables of the quick version and the pictures into docs/gate.md
    #[arg(long, conflicts_with = "quick")]
    write: bool,
}

/// The page that the tables stand in.
const PAGE: &str = "docs/gate.md";
/// What stands before and after them there.
const BEGIN: &str = "<!-- gate-sim: begin -->\n";
const END: &str = "<!-- gate-sim: end -->\n";

/// Prints the tables; fails where a promise is not kept.
pub(crate) fn run(options: &Options) -> Result<()> {
    let size = if options.quick || options.write { Size::QUICK } else { Size::FULL };
    let (text, missed) = tables::all(size);
    if options.write {
        write(&text)?;
        output::note(format!("Wrote {PAGE} and its pictures"));
    } else {
        output::result(text.trim_end());
    }
    ensure!(!options.quick || page_has(&text)?, "{PAGE} has other numbers: cargo xtask gate-sim --write");
    ensure!(missed.is_empty(), "promises that are not kept: {}", missed.join("; "));
    Ok(())
}

/// Whether the page shows these tables.
fn page_has(text: &str) -> Result<bool> {
    let page = repository().join(PAGE);
    let page = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    Ok(page.contains(&[BEGIN, text, END].concat()))
}

fn write(text: &str) -> Result<()> {
    let page = repository().join(PAGE);
    let old = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let (before, rest) = old.split_once(BEGIN).with_context(|| format!("{PAGE} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no line {END}"))?;
    fs::write(&page, [before, BEGIN, text, END, after].concat())?;
    for (name, svg) in pictures::all()? {
        let path: PathBuf = repository().join("docs").join(name);
        fs::write(&path, svg).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documentation says what the gate does now: where this fails, `cargo xtask gate-sim --write` says what changed. Rows
    /// that take long are left to `cargo xtask gate-sim --quick`, which compares all of them and is part of no test.
    #[test]
    fn the_tables_of_the_page_are_those_of_the_gate_and_its_promises_are_kept() {
        let page = fs::read_to_string(repository().join(PAGE)).unwrap();
        let tables = page.split_once(BEGIN).unwrap().1.split_once(END).unwrap().0;
        let (text, missed) = tables::all(Size::BRIEF);
        let mut shown = tables.lines();
        for line in text.lines() {
            assert!(shown.any(|shown| shown == line), "{PAGE} is not what the gate does; it has no line\n{line}");
        }
        assert!(text.lines().count() > tables.lines().count() / 2);
        assert_eq!(missed, Vec::<String>::new());
    }
}
