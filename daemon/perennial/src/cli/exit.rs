//! How commands end, for scripts.

use std::process::ExitCode;

/// How a command ended. Clap itself ends with 2 where the command line is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// All is done.
    Done,
    /// `ingest --strict`: rows were refused.
    RowsRefused,
    /// `ingest`: all rows of a file were refused.
    NothingTaken,
    /// What was asked for failed; standard error says why.
    Failed,
}

impl Exit {
    const ALL: [(Self, u8, &'static str); 4] = [
        (Self::Done, 0, "every file was taken in; rows that were stored before count as taken"),
        (Self::Failed, 1, "a file could not be read or stored"),
        (Self::RowsRefused, 3, "a row was refused, with --strict; the others are stored"),
        (Self::NothingTaken, 4, "a file has rows, and all of them were refused"),
    ];

    /// The table, as help shows it.
    pub(super) fn help() -> String {
        let lines = Self::ALL.iter().map(|(_, code, meaning)| format!("  {code}  {meaning}"));
        format!("Exit codes (1 before 4 before 3, where files differ):\n{}", lines.collect::<Vec<_>>().join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        let code = Exit::ALL.iter().find(|(known, ..)| *known == exit).map_or(1, |(_, code, _)| *code);
        Self::from(code)
    }
}
