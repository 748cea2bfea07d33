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
        /// As the tokenizer's file has it.
        name: String,
        /// The names that are known.
        supported: &'static str,
    },
    /// A text cannot be turned into tokens, or tokens into text.
    #[error("tokenizing: {0}")]
    Encode(String),
    /// A text has a token that the model has no row for: it was added to the tokenizer, and the embeddings were not resized.
    #[error(
        "the token `{token}` has the id {id}, but the model's embedding has {rows} rows: resize them, or leave such texts out"
    )]
    NoRow {
        /// Its text.
        token: String,
        /// At least `rows`.
        id: u32,
        /// Of the model's embeddings.
        rows: usize,
    },
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
    /// The template cannot be read.
    #[error("the model's chat template cannot be read: {0}")]
    BrokenTemplate(String),
    /// The template has no place for a role.
    #[error("the chat template refuses the role `{role}`: {reason}")]
    RoleRefused {
        /// The role, as the row names it.
        role: String,
        /// What the template says.
        reason: String,
    },
    /// A control token that somebody said cannot be told from one that counts.
    #[error("somebody says {0:?}, which the tokenizer makes a control token of even as plain text")]
    SaidControlToken(String),
    /// No turn is to be learned from.
    #[error("no turn is to be trained on: each assistant turn has `weight` 0 or `train` false, or there is none")]
    NoTurnIsTrained,
    /// An assistant turn cannot be found in the rendered conversation.
    #[error(
        "what the chat template writes of turn {turn} cannot be found in the conversation, so what to train on cannot be told"
    )]
    TurnNotFound {
        /// The turn, from 0.
        turn: usize,
    },
    /// The answers of a preference begin with different turns, and no prompt is given.
    #[error("`chosen` and `rejected` have no turn in common that could be the prompt: give `prompt`")]
    NoPromptInCommon,
    /// The shape is not what the objective learns from.
    #[error("samples of kind `{}` are not for this objective", .0.as_str())]
    NotSupervised(Kind),
    /// Nothing to learn is left.
    #[error("nothing to learn is left within {length_max} tokens: the answer is empty, or starts after them")]
    NothingSupervised {
        /// The limit.
        length_max: usize,
    },
    /// The tokenizer fails.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl EncodeError {
    /// Whether it is the model's files that are wrong, and so every sample would fail; else this one is, and others may do.
    pub fn is_of_the_model(&self) -> bool {
        match self {
            Self::NoChatTemplate | Self::BrokenTemplate(_) => true,
            Self::Tokenizer(error) => matches!(error, TokenizerError::Invalid(_) | TokenizerError::Unsupported { .. }),
            _ => false,
        }
    }
}
