use std::io::{self, BufRead, Read};

/// What the next line of a source is. Its bytes, without the line break, are in the buffer given to [`next_line`].
pub(super) enum Raw {
    /// A whole line.
    Line,
    /// A line longer than allowed; the buffer holds its beginning. `bytes` is its whole length.
    TooLong { bytes: u64 },
    /// The source failed inside this line; the buffer holds what came before.
    Failed(io::Error),
    /// There are no more lines.
    End,
}

/// Reads the next line, whose end is `\n`, `\r\n` or the end of the source. Never holds more than `bytes_max` + 2 bytes of it.
pub(super) fn next_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>, bytes_max: usize) -> Raw {
    const LINE_BREAK_BYTES_MAX: usize = 2;
    buffer.clear();
    let window = bytes_max + LINE_BREAK_BYTES_MAX;
    if let Err(error) = reader.by_ref().take(window as u64).read_until(b'\n', buffer) {
        return Raw::Failed(error);
    }
    if buffer.is_empty() {
        return Raw::End;
    }
    let ended = buffer.last() == Some(&b'\n');
    if !ended && buffer.len() == window {
        return match skip_line(reader) {
            Ok(skipped) => Raw::TooLong { bytes: buffer.len() as u64 + skipped },
            Err(error) => Raw::Failed(error),
        };
    }
    if ended {
        buffer.pop();
        if buffer.last() == Some(&b'\r') {
            buffer.pop();
        }
    }
    if buffer.len() > bytes_max { Raw::TooLong { bytes: buffer.len() as u64 } } else { Raw::Line }
}

/// Reads on to the end of a line and says how long the rest was, without the `\n`.
fn skip_line(reader: &mut impl BufRead) -> io::Result<u64> {
    const CHUNK_BYTES: u64 = 64 * 1024;
    let mut chunk = Vec::new();
    let mut skipped = 0;
    loop {
        chunk.clear();
        reader.by_ref().take(CHUNK_BYTES).read_until(b'\n', &mut chunk)?;
        skipped += chunk.len() as u64;
        match chunk.last() {
            Some(b'\n') => return Ok(skipped - 1),
            Some(_) => {}
            None => return Ok(skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(mut bytes: &[u8], bytes_max: usize) -> Vec<Result<Vec<u8>, u64>> {
        let (mut buffer, mut found) = (Vec::new(), Vec::new());
        loop {
            match next_line(&mut bytes, &mut buffer, bytes_max) {
                Raw::Line => found.push(Ok(buffer.clone())),
                Raw::TooLong { bytes } => found.push(Err(bytes)),
                Raw::Failed(error) => panic!("{error}"),
                Raw::End => return found,
            }
        }
    }

    #[test]
    fn line_of_the_greatest_length_passes_with_any_ending() {
        let expected = vec![Ok(b"abc".to_vec()), Ok(b"abc".to_vec()), Ok(b"abc".to_vec())];
        assert_eq!(lines(b"abc\r\nabc\nabc", 3), expected);
        assert_eq!(lines(b"abcd\nab\nabcdefgh\nabc", 3)[1], Ok(b"ab".to_vec()));
        assert!(lines(b"abcd\nabcdefgh\r\nabcde", 3).iter().all(Result::is_err));
    }

    proptest! {
        #[test]
        fn splits_like_the_standard_library(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..60), bytes_max in 1_usize..9) {
            let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let found = lines(&bytes, bytes_max);
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                match found {
                    Ok(line) => prop_assert_eq!(line.as_slice(), expected),
                    Err(_) => prop_assert!(expected.len() > bytes_max),
                }
            }
        }
    }
}
