use std::io::{self, Read};

use perennial_types::Row;
use serde_json::{Deserializer, Value};

/// How much of a source is looked at to say what it is.
pub(super) const HEAD_BYTES: usize = 64 * 1024;

/// The beginning of a reader, read ahead, and then the reader itself.
pub(super) struct Peeked<R> {
    head: Vec<u8>,
    at: usize,
    /// What stopped the reading ahead; it is told once the head has been given.
    error: Option<io::Error>,
    pub(super) rest: R,
}

impl<R: Read> Peeked<R> {
    pub(super) fn new(mut rest: R) -> Self {
        let mut head = Vec::new();
        let error = rest.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).err();
        Self { head, at: 0, error, rest }
    }

    /// What was read ahead and not yet given.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get(self.at..).unwrap_or_default()
    }

    /// Drops a byte order mark.
    pub(super) fn skip_mark(&mut self) {
        const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
        if self.head().starts_with(UTF8_MARK) {
            self.at += UTF8_MARK.len();
        }
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut head = self.head();
        if !head.is_empty() {
            let read = head.read(buffer)?;
            self.at += read;
            return Ok(read);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(buffer),
        }
    }
}

/// How a source is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame as pzstd writes first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The noun in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "file",
            Self::Gzip => "gzip stream",
            Self::Zstd => "zstd stream",
        }
    }
}

/// Whether a source that begins like this is compressed, with gzip or zstd: four bytes tell.
pub fn is_compressed(head: &[u8]) -> bool {
    Compression::of(head) != Compression::None
}

/// Why a source that begins like this (after decompression) holds no rows at all, or `None` where it may hold some.
pub(super) fn refusal(head: &[u8]) -> Option<String> {
    const WANTED: &str =
        "JSON Lines is wanted: UTF-8 text, one JSON object per line, plain or compressed with gzip or zstd";
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(format!("this is {what}; {WANTED}"));
    }
    if head.contains(&0) && !head.split(|byte| *byte == b'\n').any(is_row) {
        return Some(format!("this is a binary file, it holds NUL bytes; {WANTED}"));
    }
    if is_long_list(head) {
        return Some(format!(
            "this is one JSON list in one line; {WANTED} (`jq -c '.[]' FILE` turns the list into that)"
        ));
    }
    if let Some(delimiter) = delimiter_of(head) {
        let option = if delimiter == ',' { String::new() } else { format!(", delimiter={:?}", delimiter.to_string()) };
        return Some(format!(
            "this is a table with a header (CSV); {WANTED} (`python3 -c 'import csv, json, sys; [print(json.dumps(row)) for row \
             in csv.DictReader(sys.stdin{option})]' < FILE` turns it into that)"
        ));
    }
    is_spread_over_lines(head).then(|| {
        format!("this is one JSON value spread over several lines; {WANTED} (`jq -c '.[]?'` turns a list into that)")
    })
}

const MAGIC: [(&[u8], &str); 16] = [
    (b"\x1f\x8b", "a file that was compressed twice"),
    (b"\x28\xb5\x2f\xfd", "a file that was compressed twice"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"\xfd7zXZ\x00", "a file compressed with xz: unpack it first"),
    (b"BZh", "a file compressed with bzip2: unpack it first"),
    (b"\x04\x22\x4d\x18", "a file compressed with lz4: unpack it first"),
    (b"\xff\xfe", "text in UTF-16: convert it with `iconv -t UTF-8`"),
    (b"\xfe\xff", "text in UTF-16: convert it with `iconv -t UTF-8`"),
    (
        b"PAR1",
        "a Parquet file: convert it with `python3 -c 'import pandas; pandas.read_parquet(\"FILE\").to_json(\"FILE.jsonl\", \
         orient=\"records\", lines=True)'`",
    ),
    (
        b"ARROW1",
        "an Arrow file: convert it with `python3 -c 'import pandas; pandas.read_feather(\"FILE\").to_json(\"FILE.jsonl\", \
         orient=\"records\", lines=True)'`",
    ),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF-", "a PDF document"),
    (b"\x7fELF", "a program (ELF)"),
];

fn is_row(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| Row::parse(line).is_ok())
}

/// Whether the source is a list of objects in one line that is longer than the head. A shorter one is refused as a row, for
/// other lines may follow it.
fn is_long_list(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let begins = text.strip_prefix(b"[").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"));
    begins && head.len() == HEAD_BYTES && !text.contains(&b'\n')
}

/// What parts the columns, where the first line is a header of plain names and no line begins an object.
fn delimiter_of(head: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(head).ok().or_else(|| {
        // The head may end within a character.
        let valid = std::str::from_utf8(head).err()?.valid_up_to();
        std::str::from_utf8(head.get(..valid)?).ok()
    })?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let header = lines.next()?;
    let (delimiters, is_name) = ([',', '\t', ';'], |c: char| c.is_alphanumeric() || "_-. \"".contains(c));
    let delimiter = delimiters.into_iter().find(|delimiter| header.contains(*delimiter))?;
    let is_header = header.split(delimiter).all(|name| name.contains(char::is_alphabetic) && name.chars().all(is_name));
    let mut rows = lines.peekable();
    (is_header && rows.peek()?.contains(delimiter) && !rows.any(|line| line.starts_with('{'))).then_some(delimiter)
}

/// Whether the first JSON value begins on the first line that is not blank, and goes on below it: a pretty-printed
/// object, or a list over several lines. A first line that was torn off is not taken for one: what follows it is then no
/// continuation of it.
fn is_spread_over_lines(head: &[u8]) -> bool {
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(head.len());
    let text = head.get(start..).unwrap_or_default();
    let Some(line_end) = text.iter().position(|byte| *byte == b'\n') else { return false };
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return false;
    }
    let mut values = Deserializer::from_slice(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(_)) => values.byte_offset() > line_end,
        // The value is longer than the head: all of the head belongs to it.
        Some(Err(error)) => error.is_eof() && text.len() > line_end + 1,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_files_are_named() {
        for (magic, name) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], "PNG"),
            (b"\x7fELF\x02", "ELF"),
            (b"PAR1\x15", "Parquet"),
            (b"PK\x03\x04", "zip"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"ab\0c\n", "NUL"),
        ] {
            assert!(refusal(magic).unwrap().contains(name), "{name}");
        }
    }

    #[test]
    fn tables_and_lists_are_told_with_what_converts_them() {
        let comma = refusal(b"prompt,completion\n\"2+2, what is it?\",4\n").unwrap();
        assert!(comma.contains("(CSV)") && comma.contains("csv.DictReader(sys.stdin)]"), "{comma}");
        let tab = refusal(b"\"prompt\"\tcompletion\na\tb\n").unwrap();
        assert!(tab.contains(r#"csv.DictReader(sys.stdin, delimiter="\t")"#), "{tab}");
        let list = format!("[ {{\"text\": \"{}\"}}", "a".repeat(HEAD_BYTES));
        assert!(refusal(&list.as_bytes()[..HEAD_BYTES]).unwrap().contains("jq -c '.[]'"));
        for parquet in [&b"PAR1\x15"[..], b"ARROW1\0\0"] {
            assert!(refusal(parquet).unwrap().contains("to_json"));
        }
        // A torn or foreign line before rows, one line alone, and prose are no tables.
        for lines in ["so, what\n{\"text\": \"a\"}\n", "a,b", "Well, then?\nSo, no!\n", "1,2\n3,4\n"] {
            assert_eq!(refusal(lines.as_bytes()), None, "{lines}");
        }
    }

    #[test]
    fn rows_among_nuls_are_still_rows() {
        assert_eq!(refusal(b"\0\0\0\n{\"text\": \"a\"}\n"), None);
    }

    #[test]
    fn json_over_several_lines_is_told_from_a_torn_line() {
        for document in
            ["[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n]", "{\n  \"text\": \"a\"\n}\n", "\n[{\"text\":\n\"a\"}"]
        {
            assert!(refusal(document.as_bytes()).is_some(), "{document}");
        }
        let row = r#"{"text": "a"}"#;
        for lines in
            [format!("{{\"text\": \"to\n{row}\n"), format!("[1, 2]\n{row}"), format!("{row}\n{row}"), row.into()]
        {
            assert_eq!(refusal(lines.as_bytes()), None, "{lines}");
        }
    }
}
