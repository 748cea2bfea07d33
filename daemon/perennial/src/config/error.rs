use std::{fmt::Write as _, path::PathBuf};

use super::{place::Origin, problems::Problem};

/// Why there is no configuration to run with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or a key or a type is wrong.
    #[error("{}:{line}:{column}: {message}{hint}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The key that was probably meant.
        hint: String,
    },
    /// An environment variable or a flag is wrong.
    #[error("{origin}: {message}{hint}")]
    Override {
        /// Which.
        origin: Origin,
        /// What is wrong.
        message: String,
        /// The key that was probably meant.
        hint: String,
    },
    /// Values make no sense.
    #[error("{}", list(.0))]
    Invalid(Vec<(Origin, Problem)>),
    /// There is no working directory to find relative paths in.
    #[error("the working directory cannot be told")]
    WorkingDirectory(#[source] std::io::Error),
}

fn list(problems: &[(Origin, Problem)]) -> String {
    let mut text = String::new();
    for (at, (origin, problem)) in problems.iter().enumerate() {
        let newline = if at == 0 { "" } else { "\n" };
        let _ = write!(text, "{newline}{origin}: {problem}");
    }
    text
}
