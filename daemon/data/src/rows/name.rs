/// The longest name of a source, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What stands in a name for characters that would break a line, move the cursor or hide the rest.
const REPLACEMENT: char = '_';

/// A file's or channel's name as it is kept with rows, logged and written to quarantine: at most 128 bytes, without control
/// characters. A longer one ends in `…`.
pub fn source_name(given: &str) -> String {
    const ELLIPSIS: char = '…';
    let mut name = String::new();
    for char in given.chars() {
        let char = if is_plain(char) { char } else { REPLACEMENT };
        if name.len() + char.len_utf8() + ELLIPSIS.len_utf8() > NAME_BYTES_MAX {
            name.push(ELLIPSIS);
            break;
        }
        name.push(char);
    }
    name
}

/// Whether a character shows as itself: neither a control character, nor one that breaks lines or turns the direction of text.
fn is_plain(char: char) -> bool {
    !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(source_name("grüße.jsonl"), "grüße.jsonl");
        assert_eq!(source_name("a\nb\x1b[31m\u{202e}c"), "a_b_[31m_c");
        let long = source_name(&"ü".repeat(100_000));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with("ü…"), "{long}");
    }
}
