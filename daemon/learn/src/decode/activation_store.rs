use std::{collections::BTreeMap, sync::Arc};

use super::activations::{ActivationMemory, RolloutActivations, StoredRow};
use crate::model::{AdapterWeights, Decoder, KeptRow};

/// The indices of prompt and generation.
type Name = (usize, usize);

/// Keeps the activations of rollouts as far as there is memory for them: of those that come first, in the order of their names,
/// as many as fit whole.
///
/// Which these are does not depend on what runs at the same time: rollouts join in the order of their names and only grow, and
/// where there is no more room the last name goes, so one goes exactly if all up to it do not fit in the end.
#[derive(Default)]
pub(crate) struct ActivationStore {
    memory: ActivationMemory,
    rows_max: usize,
    rows: usize,
    kept: BTreeMap<Name, RolloutActivations>,
    /// The first name that nothing is kept of; `None` where there was room for all.
    end: Option<Name>,
}

impl ActivationStore {
    /// For rollouts by a decoder with an adapter.
    pub(crate) fn new(memory: &ActivationMemory, decoder: &Decoder, adapter: &AdapterWeights) -> Self {
        Self { memory: memory.clone(), rows_max: memory.rows_max(decoder, adapter), ..Self::default() }
    }

    /// Whether there is room for rollouts of a prompt of so many tokens, after `tokens_before` of prompts that have yet to join.
    /// Where there is none, nothing is kept of later ones either.
    pub(crate) fn has_room(&mut self, prompt: usize, tokens_before: usize, tokens: usize) -> bool {
        if self.is_beyond((prompt, 0)) {
            return false;
        }
        let fits = self.rows + tokens_before + tokens <= self.rows_max;
        if !fits {
            self.end = Some((prompt, 0));
        }
        fits
    }

    /// An empty row, of which [`prompt`](Self::prompt) or [`append`](Self::append) is told when it is filled.
    pub(crate) fn row(&self, decoder: &Decoder, adapter: Option<&AdapterWeights>) -> KeptRow {
        self.memory.row(decoder, adapter)
    }

    /// What is kept of a prompt, once for all of its completions.
    pub(crate) fn prompt(&self, rows: impl Iterator<Item = KeptRow>) -> Arc<[StoredRow]> {
        rows.map(|row| self.memory.store(row)).collect()
    }

    /// Begins with a rollout.
    pub(crate) fn join(&mut self, name: Name, prompt: &Arc<[StoredRow]>) {
        if self.is_beyond(name) {
            return;
        }
        self.rows += rows_of_prompt(name, prompt);
        self.kept.insert(name, RolloutActivations { prompt: Arc::clone(prompt), completion: Vec::new() });
        self.drop_beyond();
    }

    pub(crate) fn has(&self, name: Name) -> bool {
        self.kept.contains_key(&name)
    }

    /// The next tokens of rollouts that it has.
    pub(crate) fn append(&mut self, rows: impl Iterator<Item = (Name, KeptRow)>) {
        for (name, row) in rows {
            let row = self.memory.store(row);
            if let Some(kept) = self.kept.get_mut(&name) {
                kept.completion.push(row);
                self.rows += 1;
            }
        }
        self.drop_beyond();
    }

    /// What is kept of a rollout, once all are through.
    pub(crate) fn take(&mut self, name: Name) -> Option<RolloutActivations> {
        self.kept.remove(&name)
    }

    fn is_beyond(&self, name: Name) -> bool {
        self.end.is_some_and(|end| name >= end)
    }

    fn drop_beyond(&mut self) {
        while self.rows > self.rows_max {
            let Some((name, dropped)) = self.kept.pop_last() else { return };
            self.end = Some(name);
            self.rows -= dropped.completion.len() + rows_of_prompt(name, &dropped.prompt);
        }
    }
}

/// A prompt counts with the first rollout of its group.
fn rows_of_prompt((_, generation): Name, prompt: &[StoredRow]) -> usize {
    if generation == 0 { prompt.len() } else { 0 }
}
