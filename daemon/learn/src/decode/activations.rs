use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::{AdapterWeights, Decoder, KeptRow};

/// What the passes that drew a rollout leave behind for the backward pass of training, which then needs no forward pass of
/// its own: of each token but the last, which went through no pass.
#[derive(PartialEq)]
pub struct RolloutActivations {
    /// Shared by the rollouts of a group.
    pub(super) prompt: Arc<[StoredRow]>,
    pub(super) completion: Vec<StoredRow>,
}

/// Memory for [`RolloutActivations`]: bounded, and used again when they are dropped, because memory that is new to a process
/// costs more than what is written there. Cloning gives another handle of the same memory.
#[derive(Clone, Default)]
pub struct ActivationMemory {
    bytes_max: u64,
    spare: Arc<Mutex<Vec<KeptRow>>>,
}

/// A row that goes back to the memory that it came from.
pub(crate) struct StoredRow {
    row: KeptRow,
    memory: ActivationMemory,
}

impl RolloutActivations {
    /// The tokens of prompt and completion that there is something of: the first so many.
    pub fn tokens(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// The memory that it takes, that of the prompt included.
    pub fn bytes(&self) -> u64 {
        (0..self.tokens()).filter_map(|place| self.row(place)).map(KeptRow::bytes).sum()
    }

    /// What there is of the token at a place of prompt and completion.
    pub(crate) fn row(&self, place: usize) -> Option<&KeptRow> {
        match place.checked_sub(self.prompt.len()) {
            None => self.prompt.get(place).map(|stored| &stored.row),
            Some(place) => self.completion.get(place).map(|stored| &stored.row),
        }
    }
}

impl ActivationMemory {
    /// So many bytes at most.
    pub fn bounded(bytes_max: u64) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// The same memory, where only so many bytes are left of it.
    pub(crate) fn left(&self, bytes_max: u64) -> Self {
        Self { bytes_max, spare: Arc::clone(&self.spare) }
    }

    /// The bound in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The rows of a decoder with an adapter that there is room for.
    pub(crate) fn rows_max(&self, decoder: &Decoder, adapter: &AdapterWeights) -> usize {
        let rows = self.bytes_max.checked_div(decoder.kept_row_bytes(adapter) as u64);
        rows.map_or(0, |rows| usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// An empty row, to be given back as a [`StoredRow`].
    pub(crate) fn row(&self, decoder: &Decoder, adapter: Option<&AdapterWeights>) -> KeptRow {
        self.spare().pop().unwrap_or_else(|| decoder.empty_row(adapter))
    }

    pub(crate) fn store(&self, row: KeptRow) -> StoredRow {
        StoredRow { row, memory: self.clone() }
    }

    #[cfg(test)]
    pub(crate) fn spare_rows(&self) -> usize {
        self.spare().len()
    }

    fn spare(&self) -> MutexGuard<'_, Vec<KeptRow>> {
        // Nothing that holds it can panic half-way.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for StoredRow {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

impl fmt::Debug for RolloutActivations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RolloutActivations").field("tokens", &self.tokens()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ActivationMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivationMemory").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Drop for StoredRow {
    fn drop(&mut self) {
        let row = std::mem::take(&mut self.row);
        self.memory.spare().push(row.emptied());
    }
}
