use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use perennial_types::Row;

use crate::{Item, LeftOut, Metric, Suite, SuiteError, SuiteOptions, auto};

/// The largest golden file that is read: suites are small, and a wrong path should not fill the memory.
const GOLDEN_BYTES_MAX: u64 = 64 << 20;

/// What is wrong with a row that no answer can be compared with.
const NO_ANSWER: &str = "no right answer: give `messages` that end with the assistant's, `prompt` and `completion`, \
                         `prompt` and `reference`, or `text`; a bare `prompt` will do with the metric reward";

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
    /// The items make no suite.
    #[error("{file}: {source}")]
    Suite {
        /// Its path, as configured.
        file: String,
        /// What is wrong.
        source: SuiteError,
    },
}

/// Reads a golden suite: JSON Lines in the shapes of [`Row::parse`], each with one right answer (the last assistant turn
/// of `messages`, the `completion`, or a `reference` beside a `prompt`, which overrides the others). Blank lines are
/// skipped. The first [`SuiteOptions::items_max`] rows are used.
///
/// A line that is no item is in [`Suite::left_out`], by file and line. Whoever starts something on a golden suite should
/// refuse one that leaves anything out, since a gate that quietly checks less than it was told to is worse than one that
/// does not start; whoever is under way goes on without the line.
///
/// # Errors
/// Where the file cannot be read, holds nothing, or makes no suite.
pub fn load_golden(path: &Path, options: SuiteOptions) -> Result<Suite, GoldenError> {
    let io = |source| GoldenError::Io { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > GOLDEN_BYTES_MAX {
        return Err(GoldenError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    parse_golden(&text, &path.display().to_string(), options)
}

/// As [`load_golden`], from text that is already read; `file` is the name that reasons and errors give.
///
/// # Errors
/// As [`load_golden`].
pub fn parse_golden(text: &str, file: &str, options: SuiteOptions) -> Result<Suite, GoldenError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut items, mut lines, mut left_out) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (row, line) in text.lines().zip(1..).filter(|(row, _)| !row.trim().is_empty()) {
        match parse_item(row, line, options.metric) {
            Ok(item) => {
                lines.insert(item.id.clone(), line);
                items.push(item);
            }
            Err(reason) => left_out.push(LeftOut { id: format!("{file}:{line}"), reason }),
        }
    }
    if items.is_empty() && !left_out.is_empty() {
        return Ok(Suite::void(options, left_out));
    }
    let suite = Suite::new(options, items);
    let mut suite = suite.map_err(|source| GoldenError::Suite { file: file.to_owned(), source })?;
    for item in &mut suite.left_out {
        item.id = lines.get(&item.id).map_or_else(|| item.id.clone(), |line| format!("{file}:{line}"));
    }
    suite.left_out.splice(0..0, left_out);
    Ok(suite)
}

fn parse_item(row: &str, line: usize, metric: Option<Metric>) -> Result<Item, String> {
    let row = Row::parse(row).map_err(|error| error.to_string())?;
    let id = row.external_id.unwrap_or_else(|| format!("line {line}"));
    auto::item(id, &row.body, row.reference.as_deref(), row.metadata, metric).ok_or_else(|| NO_ANSWER.to_owned())
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
    fn lines_that_are_no_items_are_left_out_by_file_and_line() {
        let metric = Some(Metric::ExactMatch);
        let text = concat!(
            "{\"prompt\": \"p\", \"completion\": \"c\"}\n",
            "{\n",
            "\n",
            "{\"prompt\": \"p\"}\n",
            "{\"prompt\": \"p\", \"completion\": \" \", \"id\": \"mine\"}\n",
        );
        let suite = parse_golden(text, "g.jsonl", SuiteOptions { metric, ..SuiteOptions::new("g") }).unwrap();
        assert_eq!(suite.items.len(), 1);
        let left: Vec<&str> = suite.left_out.iter().map(|left| left.id.as_str()).collect();
        assert_eq!(left, ["g.jsonl:2", "g.jsonl:4", "g.jsonl:5"]);
        assert!(suite.left_out[0].reason.starts_with("not valid JSON"), "{:?}", suite.left_out[0]);
        assert!(suite.left_out[1].reason.starts_with("no right answer: give"));
        assert_eq!(suite.left_out[2].reason, "its reference is empty, which exact_match needs");
    }

    #[test]
    fn a_file_without_an_item_is_void_and_an_empty_one_an_error() {
        let suite = parse_golden("{", "g.jsonl", SuiteOptions::new("g")).unwrap();
        assert_eq!((suite.items.len(), suite.left_out.len()), (0, 1));
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
