//! The only place that writes to the terminal: results to standard output, what is being done to standard error.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the output module of a command line program")]

use std::io::{IsTerminal, Write};

/// Prints a line of the result.
pub(crate) fn result(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}

/// Says what is being done.
pub(crate) fn note(line: impl AsRef<str>) {
    eprintln!("{}", line.as_ref());
}

/// Shows a line that the next one replaces; nothing where nobody watches.
pub(crate) fn progress(line: &str) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        eprint!("\r\x1b[2K{line}");
        // Progress that cannot be shown is no reason to fail.
        let _ = error.flush();
    }
}
