use std::any::Any;

/// The first `chars_max` characters of a text, and an ellipsis where that is not all of it.
pub fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What a panic said, if it said anything.
pub fn panic_text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(shortened("üüü", 2), "üü…");
        assert_eq!(shortened("üüü", 3), "üüü");
        assert_eq!(shortened("", 0), "");
    }
}
