//! How commands end, for scripts: one table for the program, its help and docs/exit-codes.md.

use std::process::ExitCode;

/// How a command ended. Where the files of one command differ, what stands later here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    Done,
    /// `ingest --strict`: rows were refused.
    RowsRefused,
    /// `ingest`: all rows of a file were refused.
    NothingTaken,
    /// `cycle`, `gate`: the gate refused the candidate.
    Rejected,
    /// `cycle`: no samples wait.
    NothingToDo,
    /// `cycle`: it did not come to its end.
    Interrupted,
    /// `cycle`: the candidate waits for a person's word.
    Held,
    /// What was asked for failed; standard error says why.
    Failed,
    /// The command line is wrong.
    Usage,
    /// `run`: something was cut off.
    Forced,
}

/// Each once, with its code and what it says.
const TABLE: [(Exit, u8, &str); 10] = [
    (Exit::Done, 0, "what was asked for is done; `cycle`: the candidate is the champion; `gate`: it passes"),
    (Exit::Failed, 1, "it failed, and standard error says why; `cycle`: the cycle failed"),
    (Exit::Usage, 2, "the command line is wrong"),
    (Exit::RowsRefused, 3, "`ingest --strict`: a row was refused; the others are stored"),
    (Exit::NothingTaken, 4, "`ingest`: a file has rows, and all of them were refused"),
    (Exit::Rejected, 5, "`cycle`, `gate`: the gate rejected the candidate"),
    (Exit::NothingToDo, 6, "`cycle`: no new samples wait that could be trained on"),
    (Exit::Interrupted, 7, "`cycle`: it was aborted, or stopped at a safe point, from where the next `cycle` goes on"),
    (Exit::Held, 8, "`cycle`: the candidate passed the gate and waits for a person's word (`promotion.hold`)"),
    (Exit::Forced, 75, "`run`: it had to leave before everything came to a safe point; the next start makes it good"),
];

impl Exit {
    fn row(self) -> (u8, &'static str) {
        TABLE.iter().find(|(known, ..)| *known == self).map_or((1, ""), |(_, code, says)| (*code, says))
    }

    /// The whole table, as help shows it.
    pub(super) fn help() -> String {
        Self::help_of(&TABLE.map(|(exit, ..)| exit))
    }

    /// Some of the table, as help shows it.
    pub(super) fn help_of(shown: &[Self]) -> String {
        let lines = shown.iter().map(|exit| {
            let (code, says) = exit.row();
            format!("\n  {code:>2}  {says}")
        });
        format!("Exit codes:{}", lines.collect::<String>())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.row().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../../../docs/exit-codes.md");
        let rows: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code")).collect();
        let own: Vec<String> = TABLE.iter().map(|(_, code, says)| format!("| {code} | {says} |")).collect();
        assert_eq!(rows, own);
    }

    #[test]
    fn every_way_to_end_has_a_code_of_its_own() {
        let mut seen: Vec<(Exit, u8)> = TABLE.iter().map(|(exit, code, _)| (*exit, *code)).collect();
        seen.sort_by_key(|(_, code)| *code);
        seen.dedup_by_key(|(_, code)| *code);
        assert_eq!(seen.len(), TABLE.len());
        // No further code is added without a line in the table.
        let last = TABLE.iter().map(|(exit, ..)| *exit as usize).max().unwrap();
        assert_eq!(last + 1, TABLE.len());
        assert_eq!(Exit::help().lines().count(), TABLE.len() + 1);
    }
}
