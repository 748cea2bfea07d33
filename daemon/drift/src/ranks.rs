//! Numbers of two windows by their order alone.

/// Each unit's place among the different values of all, with a ghost above them.
pub(crate) struct Ranks {
    of: Vec<u32>,
    different: usize,
}

impl Ranks {
    /// Of the reference's values, then the current ones.
    pub(crate) fn new(reference: &[f64], current: &[f64]) -> Self {
        let values: Vec<f64> = reference.iter().chain(current).copied().collect();
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.dedup();
        let place = |value: &f64| sorted.partition_point(|other| other.total_cmp(value).is_lt()) as u32;
        let mut of: Vec<u32> = values.iter().map(place).collect();
        of.push(sorted.len() as u32);
        Self { of, different: sorted.len() + 1 }
    }

    /// How many of the drawn units have each rank.
    pub(crate) fn counts(&self, drawn: &[u32]) -> Vec<u32> {
        let mut counts = vec![0; self.different];
        for unit in drawn {
            counts[self.of[*unit as usize] as usize] += 1;
        }
        counts
    }
}
