use schemars::JsonSchema;
use serde::Deserialize;

/// Where in a completion the answer is.
///
/// In a configuration: `"whole"`, `"first-line"`, `"last-line"`, `{ tag = "answer" }`, `{ after = "####" }` or
/// `{ fence = "json" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Extract {
    /// All of it.
    #[default]
    Whole,
    /// The first line that is not blank.
    FirstLine,
    /// The last line that is not blank.
    LastLine,
    /// Between the last `<NAME>` and the `</NAME>` that follows it.
    Tag(String),
    /// Behind the last occurrence of this text.
    After(String),
    /// The last block fenced by three backticks that is marked with this language; an empty name takes a block of any.
    Fence(String),
}

impl Extract {
    /// The answer without surrounding white space, or nothing where the completion does not have what it should be in.
    pub fn find<'a>(&self, completion: &'a str) -> Option<&'a str> {
        let mut lines = completion.lines().filter(|line| !line.trim().is_empty());
        let found = match self {
            Self::Whole => completion,
            Self::FirstLine => lines.next()?,
            Self::LastLine => lines.next_back()?,
            Self::Tag(name) => {
                let (_, rest) = completion.rsplit_once(&format!("<{name}>"))?;
                rest.split_once(&format!("</{name}>"))?.0
            }
            Self::After(mark) => completion.rsplit_once(mark.as_str())?.1,
            Self::Fence(language) => fenced(completion, language)?,
        };
        Some(found.trim())
    }

    /// Says that there is no answer: the reason to give with a score of zero.
    pub fn missing(&self) -> String {
        match self {
            Self::Whole | Self::FirstLine | Self::LastLine => "the completion is blank".to_owned(),
            Self::Tag(name) => format!("no <{name}>…</{name}>"),
            Self::After(mark) => format!("no {mark:?}"),
            Self::Fence(language) => format!("no closed ```{language} block"),
        }
    }
}

fn fenced<'a>(text: &'a str, language: &str) -> Option<&'a str> {
    let mut last = None;
    let mut rest = text;
    while let Some((_, opened)) = rest.split_once("```") {
        let Some((info, body)) = opened.split_once('\n') else { break };
        let Some((block, after)) = body.split_once("```") else { break };
        if language.is_empty() || info.trim().eq_ignore_ascii_case(language) {
            last = Some(block);
        }
        rest = after;
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_last_answer() {
        let tag = Extract::Tag("answer".into());
        assert_eq!(tag.find("<answer>1</answer> no, <answer> 2 </answer>."), Some("2"));
        assert_eq!(tag.find("<answer>1"), None);
        assert_eq!(Extract::After("####".into()).find("so 6*7\n#### 42\n"), Some("42"));
        assert_eq!(Extract::LastLine.find("a\nb\n\n"), Some("b"));
        assert_eq!(Extract::FirstLine.find("\na\nb"), Some("a"));
        assert_eq!(Extract::FirstLine.find(" \n"), None);
    }

    #[test]
    fn finds_fenced_blocks_by_language() {
        let text = "First:\n```json\n{}\n```\nthen:\n```python\nx\n```\nend";
        assert_eq!(Extract::Fence("json".into()).find(text), Some("{}"));
        assert_eq!(Extract::Fence(String::new()).find(text), Some("x"));
        assert_eq!(Extract::Fence("rust".into()).find(text), None);
        assert_eq!(Extract::Fence("json".into()).find("```json\n{}"), None);
    }

    proptest! {
        #[test]
        fn tagged_answers_come_back(before in ".*", answer in "[^<]*", after in "[^<]*") {
            let text = format!("{before}<a>{answer}</a>{after}");
            prop_assert_eq!(Extract::Tag("a".into()).find(&text), Some(answer.trim()));
        }

        #[test]
        fn nothing_panics(text in "[`a\njson]{0,40}") {
            let _ = Extract::Fence("json".into()).find(&text);
        }
    }
}
