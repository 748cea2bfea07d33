//! The mix: the frozen training set of a cycle, new samples with replayed ones among them.

mod draft;
mod file;
mod manifest;
mod plan;
mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use perennial_durable::DurableError;
use perennial_types::{Fingerprint, Sample, SampleId};

pub use self::{
    draft::Draft,
    file::{MANIFEST_FILE, MIX_FILE, freeze, read_manifest, read_mix},
    manifest::{DomainCounts, MANIFEST_VERSION, Manifest},
    plan::{MixConfig, MixPlan, NewSample, Origin},
    row::MixRow,
};
use crate::parquet_file::ParquetFileError;

/// A mix that cannot be frozen or read.
#[derive(Debug, thiserror::Error)]
pub enum MixError {
    /// A held-out sample would be trained on.
    #[error(
        "{count} samples of the mix are held out or ask what a suite asks, {first} the first of them: nothing was written"
    )]
    HeldOut {
        /// How many.
        count: usize,
        /// The smallest of their ids.
        first: SampleId,
    },
    /// The plan names a sample that was not given.
    #[error("the mix needs sample {0}, which is in no segment that was read")]
    Missing(SampleId),
    /// The plan names a sample twice, or replays it more often than it may be.
    #[error("sample {0} is in the mix twice, or more often than it may be replayed")]
    Twice(SampleId),
    /// A further field of the manifest has the name of one of its own.
    #[error("the manifest has a field `{0}` of its own: give yours another name")]
    ReservedField(String),
    /// The manifest cannot be read.
    #[error("the manifest {path} cannot be read: {problem}")]
    Manifest {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The rows are not those that the manifest names.
    #[error(
        "the mix in {folder} has the fingerprint {found}, its manifest says {stated}: one of the files was changed; freeze it again"
    )]
    Fingerprint {
        /// The cycle's folder.
        folder: String,
        /// Of the rows that are there.
        found: Fingerprint,
        /// Of the rows that were frozen.
        stated: Fingerprint,
    },
    /// The system refuses.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The Parquet file cannot be made, read or understood.
    #[error(transparent)]
    File(#[from] ParquetFileError),
}

/// What is never trained on.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    /// The held-out samples.
    pub samples: HashSet<SampleId>,
    /// What the suites ask, held-out samples and golden ones alike: see
    /// [`question_fingerprint`](perennial_types::Body::question_fingerprint).
    pub questions: BTreeSet<Fingerprint>,
}

/// The invariant that nothing held out is ever trained on: no held-out sample, and no other that asks what a suite asks.
///
/// # Errors
/// [`MixError::HeldOut`] where one of these samples is, or asks so.
pub fn assert_nothing_held_out<'a>(
    samples: impl IntoIterator<Item = &'a Sample>,
    apart: &Apart,
) -> Result<(), MixError> {
    let is_apart = |sample: &&Sample| {
        apart.samples.contains(&sample.id) || apart.questions.contains(&sample.body.question_fingerprint())
    };
    let leaked: BTreeSet<&SampleId> = samples.into_iter().filter(is_apart).map(|sample| &sample.id).collect();
    match leaked.first() {
        Some(first) => Err(MixError::HeldOut { count: leaked.len(), first: **first }),
        None => Ok(()),
    }
}
