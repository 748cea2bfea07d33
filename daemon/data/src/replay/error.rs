use std::path::PathBuf;

use perennial_durable::DurableError;
use perennial_types::SampleId;

use crate::columns::ColumnError;

/// A replay buffer that cannot be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// LanceDB refuses.
    #[error("cannot {action} the replay buffer: {source}")]
    Lance {
        /// What was tried.
        action: &'static str,
        /// What LanceDB said.
        source: Box<lancedb::Error>,
    },
    /// The buffer was made with other embeddings.
    #[error(
        "the replay buffer {} holds embeddings of {found} numbers, the base model gives {wanted}: it was made with another base model; rebuild it from the segments",
        path.display()
    )]
    Dimension {
        /// The buffer's folder.
        path: PathBuf,
        /// The length of its embeddings.
        found: usize,
        /// The length that was asked for.
        wanted: usize,
    },
    /// An embedding that does not fit.
    #[error("the embedding of sample {id} is {found} numbers long, the replay buffer wants {wanted}")]
    Embedding {
        /// Whose embedding.
        id: SampleId,
        /// Its length.
        found: usize,
        /// The buffer's dimension.
        wanted: usize,
    },
    /// The table is not as this version writes it.
    #[error("the replay buffer is damaged ({0}); rebuild it from the segments")]
    Damaged(#[from] ColumnError),
    /// The folder cannot be made or removed.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

impl ReplayError {
    /// Whether the buffer itself is of no use any more, so that it must be built anew.
    pub fn is_of_buffer(&self) -> bool {
        matches!(self, Self::Lance { action: "open", .. } | Self::Dimension { .. } | Self::Damaged(_))
    }
}

pub(super) fn refused(action: &'static str) -> impl FnOnce(lancedb::Error) -> ReplayError {
    move |source| ReplayError::Lance { action, source: Box::new(source) }
}
