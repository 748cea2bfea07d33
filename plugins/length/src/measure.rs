use schemars::JsonSchema;
use serde::Deserialize;

/// Characters of a token, roughly, in the languages of Europe with the tokenizers of 2024 and later.
const CHARS_PER_TOKEN: usize = 4;

/// What a length is counted in.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// What stands between white space.
    #[default]
    Words,
    /// Unicode characters.
    Chars,
    /// Lines that are not blank.
    Lines,
    /// Four characters, rounded up: a plugin does not see the model's tokens.
    Tokens,
}

impl Unit {
    pub(crate) fn count(self, text: &str) -> usize {
        match self {
            Self::Words => text.split_whitespace().count(),
            Self::Chars => text.chars().count(),
            Self::Lines => text.lines().filter(|line| !line.trim().is_empty()).count(),
            Self::Tokens => text.chars().count().div_ceil(CHARS_PER_TOKEN),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Chars => "characters",
            Self::Lines => "lines",
            Self::Tokens => "tokens",
        }
    }
}
