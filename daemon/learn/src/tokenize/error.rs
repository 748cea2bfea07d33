use perennial_types::Kind;

/// Why a tokenizer or a chat template cannot be read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// The tokenizer's file or metadata make no sense.
    #[error("the tokenizer {0}")]
    Invalid(String),
    /// The tokenizer works in a way that is not known here; guessing would give wrong tokens without a word.
    #[error("the {what} `{name}` is not supported; supported are {supported}")]
    Unsupported {
        /// What kind of part it is.
        what: &'static str,
        /// Its name.
        name: String,
        /// The names that are known.
        supported: &'static str,
    },
    /// A text cannot be turned into tokens, or tokens into text.
    #[error("tokenizing: {0}")]
    Encode(String),
}

/// Why a sample or a prompt does not become tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The model has no chat template, and the sample is a conversation.
    #[error(
        "the model has no chat template, so it cannot read messages: use an instruct model, or prompt and completion as text"
    )]
    NoChatTemplate,
    /// The template refuses the conversation or fails.
    #[error("the chat template fails: {0}")]
    Template(String),
    /// An assistant turn cannot be found in the rendered conversation.
    #[error(
        "the chat template does not render turn {turn} as a continuation of the turns before it, so what to train on cannot be told"
    )]
    TurnNotFound {
        /// The turn, from 0.
        turn: usize,
    },
    /// The shape has no one right answer.
    #[error("samples of kind `{}` are not for supervised fine-tuning", .0.as_str())]
    NotSupervised(Kind),
    /// Nothing to learn is left.
    #[error("nothing to learn is left within {length_max} tokens: the answer is empty, or starts after them")]
    NothingSupervised {
        /// The limit.
        length_max: usize,
    },
    /// The tokenizer knows a token that the model has no embedding of.
    #[error(
        "it holds token {token}, and the model has embeddings for {embeddings} tokens alone: resize them, or leave such texts out"
    )]
    NoEmbedding {
        /// The token.
        token: u32,
        /// The rows of the model's embedding.
        embeddings: usize,
    },
    /// The tokenizer fails.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
