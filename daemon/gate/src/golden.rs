use std::{
    fs, io,
    path::{Path, PathBuf},
};

use perennial_types::{Row, RowError};

use crate::{Item, Metric, Suite, SuiteError, SuiteOptions, auto};

/// The largest golden file that is read: suites are small, and a wrong path should not fill the memory.
const GOLDEN_BYTES_MAX: u64 = 64 << 20;

/// Why a golden file is no suite.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is too large to be a suite.
    #[error("{}: {bytes} bytes; a golden file has at most {GOLDEN_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A line is no row.
    #[error("{file}:{line}: {source}")]
    Row {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: RowError,
    },
    /// A row has no right answer.
    #[error(
        "{file}:{line}: no right answer: give `messages` that end with the assistant's, `prompt` and `completion`, `prompt` and `reference`, or `text`; a bare `prompt` will do with the metric reward"
    )]
    NoAnswer {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// The items make no suite.
    #[error("{file}: {source}")]
    Suite {
        /// The file.
        file: String,
        /// What is wrong.
        source: SuiteError,
    },
}

/// Reads a golden suite: JSON Lines in the shapes of [`Row::parse`], each with one right answer (the last assistant turn
/// of `messages`, the `completion`, or a `reference` beside a `prompt`, which overrides the others). Blank lines are
/// skipped. The first [`SuiteOptions::items_max`] rows are used.
///
/// # Errors
/// A [`GoldenError`] that names file and line: unlike ingested data, a suite with a broken row is refused as a whole,
/// since a gate that quietly checks less than it was told to is worse than one that does not start.
pub fn load_golden(path: &Path, options: SuiteOptions) -> Result<Suite, GoldenError> {
    let io = |source| GoldenError::Io { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > GOLDEN_BYTES_MAX {
        return Err(GoldenError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    parse_golden(&text, &path.display().to_string(), options)
}

/// As [`load_golden`], from text that is already read; `file` is the name that errors give.
///
/// # Errors
/// As [`load_golden`].
pub fn parse_golden(text: &str, file: &str, options: SuiteOptions) -> Result<Suite, GoldenError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = text.lines().zip(1..).filter(|(row, _)| !row.trim().is_empty());
    let items = rows.map(|(row, line)| parse_item(row, file, line, options.metric)).collect::<Result<_, _>>()?;
    Suite::new(options, items).map_err(|source| GoldenError::Suite { file: file.to_owned(), source })
}

fn parse_item(row: &str, file: &str, line: usize, metric: Option<Metric>) -> Result<Item, GoldenError> {
    let row = Row::parse(row).map_err(|source| GoldenError::Row { file: file.to_owned(), line, source })?;
    let id = row.external_id.unwrap_or_else(|| format!("line {line}"));
    auto::item(id, &row.body, row.reference.as_deref(), row.metadata, metric)
        .ok_or_else(|| GoldenError::NoAnswer { file: file.to_owned(), line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_golden(text, "g.jsonl", SuiteOptions::new("g")).unwrap_err().to_string()
    }

    #[test]
    fn every_shape_with_an_answer_is_an_item() {
        let text = concat!(
            "\u{feff}{\"prompt\": \"p\", \"completion\": \"c\", \"id\": \"first\"}\r\n",
            "\n",
            "{\"prompt\": \"p\", \"reference\": \"r\"}\n",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}",
        );
        let suite = parse_golden(text, "g.jsonl", SuiteOptions::new("g")).unwrap();
        let items: Vec<_> =
            suite.items.iter().map(|item| (item.id.as_str(), item.question.text(), item.reference.as_str())).collect();
        let expected = [("first", "p", "c"), ("line 3", "p", "r"), ("line 4", "q", "a")];
        assert_eq!(items, expected.map(|(id, question, reference)| (id, question.to_owned(), reference)));
    }

    #[test]
    fn errors_name_file_and_line() {
        assert!(error("{\"text\": \"t\"}\n{").starts_with("g.jsonl:2: not valid JSON"));
        assert!(error("\n{\"prompt\": \"p\"}").starts_with("g.jsonl:2: no right answer: give"));
        assert_eq!(error(""), "g.jsonl: suite g: it has no items");
        let missing = load_golden(Path::new("/nowhere/g.jsonl"), SuiteOptions::new("g")).unwrap_err();
        assert!(missing.to_string().starts_with("/nowhere/g.jsonl: cannot be read"));
    }

    #[test]
    fn first_rows_are_used() {
        let options = SuiteOptions { items_max: 1, ..SuiteOptions::new("g") };
        let suite = parse_golden("{\"text\": \"a\"}\n{\"text\": \"b\"}", "g", options).unwrap();
        assert_eq!(suite.items.len(), 1);
        assert_eq!(suite.items[0].reference, "a");
    }
}
