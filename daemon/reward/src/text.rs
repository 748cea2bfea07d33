/// The longest prefix of at most `bytes_max` bytes that ends between characters, with `…` where something was cut.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// The text on one line: control characters, and those that reorder or hide text, become escapes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_deceptive(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Line and paragraph separators, marks and overrides of writing direction, invisible characters.
fn is_deceptive(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What a guest wrote, fit for the operator's eyes.
pub(crate) fn quote_guest(text: &str, bytes_max: usize) -> String {
    escape(&cut(text, bytes_max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_deceives_is_escaped_and_what_reads_is_kept() {
        assert_eq!(escape("grün\n\u{1b}[31mred\u{202e}"), "grün\\n\\u{1b}[31mred\\u{202e}");
        assert_eq!(cut("grün", 3), "gr…");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_bounded_line(text in "\\PC*|.*", bytes_max in 0_usize..64) {
            let line = quote_guest(&text, bytes_max);
            prop_assert!(!line.chars().any(char::is_control));
            // An escaped character takes at most ten bytes, `\u{10ffff}`.
            prop_assert!(line.len() <= bytes_max * 10 + '…'.len_utf8());
        }
    }
}
