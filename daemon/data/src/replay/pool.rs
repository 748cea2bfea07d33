use perennial_types::{CycleId, Fingerprint, Fingerprinter, SampleId};

use super::{row::ReplayRow, signals::Signals, space::Space};

/// What a policy chooses from: rows in the order of their ids, none twice, each with a lot, a random place in a total order that
/// depends on nothing but the id and a seed.
pub struct Pool<'a> {
    rows: Vec<&'a ReplayRow>,
    lots: Vec<Fingerprint>,
    tokens: Vec<u64>,
    repeats_max: usize,
    cycle: CycleId,
    signals: Signals<'a>,
}

/// Keeps the lots of different choices apart.
#[derive(Clone, Copy)]
pub(super) struct Lots {
    pub(super) salt: &'static [u8],
    pub(super) seed: u64,
}

impl Lots {
    fn of(self, id: &SampleId) -> Fingerprint {
        Fingerprinter::new().part(self.salt).part(&self.seed.to_le_bytes()).part(id.0.as_bytes()).finish()
    }
}

impl<'a> Pool<'a> {
    /// Of rows that each count as one token and are taken at most once, for a cycle that is before all others.
    pub(super) fn new(rows: impl IntoIterator<Item = &'a ReplayRow>, lots: Lots) -> Self {
        let mut rows: Vec<&ReplayRow> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        let (tokens, lots) = (vec![1; rows.len()], rows.iter().map(|row| lots.of(&row.id)).collect());
        Self { rows, lots, tokens, repeats_max: 1, cycle: CycleId(0), signals: Signals::default() }
    }

    pub(super) fn with_tokens(mut self, tokens: impl Fn(&ReplayRow) -> u64) -> Self {
        self.tokens = self.rows.iter().map(|row| tokens(row).max(1)).collect();
        self
    }

    pub(super) fn for_cycle(self, cycle: CycleId, repeats_max: usize, signals: Signals<'a>) -> Self {
        Self { cycle, repeats_max: repeats_max.max(1), signals, ..self }
    }

    /// In the order of their ids.
    pub fn rows(&self) -> &[&'a ReplayRow] {
        &self.rows
    }

    /// The lot of the row at this place, which must be within the rows.
    pub fn lot(&self, place: usize) -> Fingerprint {
        self.lots[place]
    }

    /// What the row at this place costs, 1 or more.
    pub fn tokens(&self, place: usize) -> u64 {
        self.tokens[place]
    }

    /// How often a row may be taken, 1 or more.
    pub fn repeats_max(&self) -> usize {
        self.repeats_max
    }

    /// The cycle that draws.
    pub fn cycle(&self) -> CycleId {
        self.cycle
    }

    /// Where the rows lie among each other; given where the policy asks for it.
    pub fn space(&self) -> Option<&dyn Space> {
        self.signals.space
    }

    /// By how much the loss of the row at this place rose, in nats per token; given for the rows that were scored, where the
    /// policy asks for it.
    pub fn loss_rise(&self, place: usize) -> Option<f64> {
        self.signals.loss_rises?.get(&self.rows[place].id).copied()
    }
}
