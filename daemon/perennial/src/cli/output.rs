//! The only place that prints. Data goes to standard output, everything else to standard error.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use crate::told::told;

/// To standard output, which carries nothing but data.
pub(super) fn line(data: impl Display) {
    write(&mut io::stdout().lock(), format_args!("{data}\n"));
}

/// Whether data goes to a terminal that shows colours.
pub(super) fn has_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Data as it comes, shown at once.
pub(super) fn piece(data: &str) {
    write(&mut io::stdout().lock(), format_args!("{data}"));
}

/// Data as JSON.
///
/// # Errors
/// Where a value cannot be written as JSON.
pub(super) fn json(data: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(data)?);
    Ok(())
}

/// A word to the person.
pub(super) fn note(text: impl Display) {
    write(&mut io::stderr().lock(), format_args!("{text}\n"));
}

/// What went wrong, with what led to it.
pub(super) fn error(error: &anyhow::Error) {
    write(&mut io::stderr().lock(), format_args!("error: {}\n", told(error)));
}

/// The prompt of a conversation, where a person sits at both ends.
pub(super) fn prompt(text: &str) {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        write(&mut io::stderr().lock(), format_args!("{text}"));
    }
}

/// A reader that has seen enough (`| head`) is no error.
fn write(to: &mut impl Write, text: std::fmt::Arguments<'_>) {
    let _ = to.write_fmt(text).and_then(|()| to.flush());
}
