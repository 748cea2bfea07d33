use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The beginning of a refused row, enough to find and mend it: text where it is UTF-8, else base64 of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The text, or base64 where [`base64`](Self::base64) says so.
    #[serde(rename = "row")]
    pub text: String,
    /// Whether `text` is base64 (the standard alphabet, padded) because the bytes are not UTF-8.
    #[serde(rename = "row_is_base64", default, skip_serializing_if = "std::ops::Not::not")]
    pub base64: bool,
    /// How long the whole row is, in bytes; where the input ended inside it or was refused as a whole, what was seen of it.
    pub row_bytes: u64,
    /// Whether `text` is only the beginning of the row.
    #[serde(rename = "row_is_cut", default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Excerpt {
    /// The excerpt of a row of `row_bytes` bytes that begins with `start`, cut to `bytes_max` bytes.
    pub(crate) fn new(start: &[u8], row_bytes: u64, bytes_max: usize) -> Self {
        let kept = start.get(..bytes_max).unwrap_or(start);
        let (text, base64, kept_bytes) = match std::str::from_utf8(kept) {
            Ok(text) => (text.to_owned(), false, kept.len()),
            // `error_len` is `None` where the only fault is that the cut went through a character.
            Err(error) if error.error_len().is_none() && kept.len() < start.len() => {
                let whole = kept.get(..error.valid_up_to()).unwrap_or_default();
                (String::from_utf8_lossy(whole).into_owned(), false, whole.len())
            }
            Err(_) => (STANDARD.encode(kept), true, kept.len()),
        };
        Self { text, base64, row_bytes, cut: (kept_bytes as u64) < row_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_bytes_stay_whole() {
        let text = Excerpt::new("grüße".as_bytes(), 7, 64);
        assert_eq!((text.text.as_str(), text.base64, text.cut), ("grüße", false, false));
        let bytes = Excerpt::new(b"\xff\x00a", 3, 64);
        assert_eq!(STANDARD.decode(&bytes.text).unwrap(), b"\xff\x00a");
        assert!(bytes.base64 && !bytes.cut);
    }

    #[test]
    fn cut_through_a_character_leaves_text() {
        let excerpt = Excerpt::new("grüße".as_bytes(), 7, 3);
        assert_eq!((excerpt.text.as_str(), excerpt.base64, excerpt.cut), ("gr", false, true));
    }

    #[test]
    fn half_a_character_at_the_very_end_is_kept_as_base64() {
        let excerpt = Excerpt::new(&"grü".as_bytes()[..3], 3, 64);
        assert!(excerpt.base64 && !excerpt.cut);
    }
}
