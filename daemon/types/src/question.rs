use unicode_normalization::UnicodeNormalization;

use crate::{
    Body, Content, Fingerprint, Fingerprinter,
    message::{before_last_answer, text_of},
};

impl Body {
    /// Names what is asked, however it is written: two bodies have the same where the turns before the answer (the system's
    /// too), the prompt or the plain text are the same but for white space, letter case and Unicode's compatible forms
    /// (NFKC), and whatever the shape of the row. What is answered makes no difference, unless nothing at all is asked:
    /// then it is all that there is.
    ///
    /// By this name the split keeps copies on one side, and what suites ask is kept out of training.
    pub fn question_fingerprint(&self) -> Fingerprint {
        let (kind, question) = match self {
            Self::Messages { messages, .. } => ("question", text_of(before_last_answer(messages))),
            Self::PromptCompletion { prompt, .. } | Self::PromptOnly { prompt, .. } => ("question", prompt.text()),
            Self::Preference { prompt: Some(prompt), .. } => ("question", prompt.text()),
            Self::Preference { prompt: None, chosen: Content::Messages(turns), .. } => {
                ("question", text_of(before_last_answer(turns)))
            }
            Self::Preference { prompt: None, .. } => ("question", String::new()),
            Self::Text { text } => ("text", text.clone()),
        };
        let normalised = normalise(&question);
        let (kind, text) = if normalised.is_empty() { ("answer", normalise(&self.text())) } else { (kind, normalised) };
        Fingerprinter::new().part(kind.as_bytes()).part(text.as_bytes()).finish()
    }
}

/// Unicode's compatible composed forms, in lower case, with one blank for every stretch of white space and none at the ends.
fn normalise(text: &str) -> String {
    let lower = text.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use crate::Row;

    use super::*;

    fn asked(row: &str) -> Fingerprint {
        Row::parse(row).unwrap().body.question_fingerprint()
    }

    #[test]
    fn spelling_shape_and_answer_make_no_difference() {
        let one = asked(r#"{"prompt": "Wie groß ist ﬁnn?", "completion": "1"}"#);
        for same in [
            r#"{"prompt": "  WIE  groß\n ist finn? ", "completion": "2"}"#,
            r#"{"messages": [{"role": "user", "content": "Wie groß ist finn?"}, {"role": "assistant", "content": "1"}]}"#,
            r#"{"prompt": "wie groß ist finn?"}"#,
            r#"{"prompt": "wie groß ist finn?", "chosen": "a", "rejected": "b"}"#,
        ] {
            assert_eq!(asked(same), one, "{same}");
        }
        assert_ne!(asked(r#"{"prompt": "Wie groß ist Fin?", "completion": "1"}"#), one);
        assert_ne!(asked(r#"{"text": "wie groß ist finn?"}"#), one);
    }

    #[test]
    fn all_turns_before_the_last_answer_are_the_question() {
        let turns = |system: &str, first: &str| {
            let turn = |role: &str, content: &str| serde_json::json!({"role": role, "content": content});
            let turns = [turn("system", system), turn("user", "a"), turn("assistant", first), turn("user", "b")];
            let turns = [&turns[..], &[turn("assistant", "c")]].concat();
            asked(&serde_json::json!({"messages": turns}).to_string())
        };
        assert_eq!(turns("s", "x"), turns("S", "x "));
        assert_ne!(turns("s", "x"), turns("s", "y"));
        assert_ne!(turns("s", "x"), turns("t", "x"));
    }

    #[test]
    fn where_nothing_is_asked_the_answer_is_the_name() {
        let blank = |answer: &str| asked(&serde_json::json!({"prompt": " ", "completion": answer}).to_string());
        assert_eq!(blank("a"), blank("A "));
        assert_ne!(blank("a"), blank("b"));
    }
}
