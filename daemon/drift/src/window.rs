//! What is known of the samples of a time, for detectors to look at.

use std::collections::BTreeMap;

use perennial_types::Domain;

/// Into how many bins tokens are counted: few enough that each holds something of a few dozen samples, enough that other words
/// fall into other bins.
pub const TOKEN_BINS: usize = 64;

/// What is known of the samples of a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Training samples, the oldest first.
    pub rows: Vec<Row>,
    /// The champion's mean loss per token, in nats, on samples that it was not trained on, by domain, the oldest first.
    pub losses: BTreeMap<Domain, Vec<f64>>,
    /// What came in together, good rows and bad, the oldest first.
    pub batches: Vec<Batch>,
}

/// A training sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its stratum.
    pub domain: Domain,
    /// Where it lies among the others: a vector of unit length; `None` where it was not embedded yet.
    pub vector: Option<Vec<f32>>,
    /// How far it is from the nearest sample that may be replayed, itself aside; `None` where that is not known.
    pub novelty: Option<f32>,
    /// How many tokens it has.
    pub tokens: u32,
    /// What share of its tokens falls into each of [`TOKEN_BINS`] bins, as [`token_bins`] makes them.
    pub bins: Vec<(u16, f32)>,
    /// What it is labelled as, where it is.
    pub label: Option<String>,
    /// The tools that it calls, each as often as it does; `None` where it is no conversation that could.
    pub calls: Option<Vec<String>>,
}

impl Row {
    /// Of this domain, with nothing else known.
    pub fn new(domain: Domain) -> Self {
        Self { domain, vector: None, novelty: None, tokens: 0, bins: Vec::new(), label: None, calls: None }
    }
}

/// A file or a request: what of its rows was taken and what refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All of its rows.
    pub rows: u64,
    /// Those that were refused.
    pub refused: u64,
}

/// The part of a window that a detector looks at: the whole, or one domain.
#[derive(Clone, Debug, Default)]
pub struct View<'a> {
    /// See [`Window::rows`].
    pub rows: Vec<&'a Row>,
    /// See [`Window::losses`].
    pub losses: &'a [f64],
    /// See [`Window::batches`]; of the whole alone.
    pub batches: &'a [Batch],
}

impl Window {
    /// All of it, but for the losses, which mean nothing across domains.
    pub fn whole(&self) -> View<'_> {
        View { rows: self.rows.iter().collect(), losses: &[], batches: &self.batches }
    }

    /// One domain.
    pub fn of(&self, domain: &Domain) -> View<'_> {
        let losses = self.losses.get(domain).map_or(&[][..], Vec::as_slice);
        View { rows: self.rows.iter().filter(|row| row.domain == *domain).collect(), losses, batches: &[] }
    }

    /// Rows by domain.
    pub fn domains(&self) -> BTreeMap<&Domain, usize> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(&row.domain).or_default() += 1;
        }
        counts
    }
}

/// What share of these tokens falls into each bin; bins without any are left out. A bin is a fixed hash of the token.
pub fn token_bins(tokens: &[u32]) -> Vec<(u16, f32)> {
    let mut counts = [0_u32; TOKEN_BINS];
    for token in tokens {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4): neighbours in the vocabulary fall far from each other.
        let bin = (token.wrapping_mul(0x9e37_79b9) >> (u32::BITS - TOKEN_BINS.ilog2())) as usize;
        counts[bin] += 1;
    }
    let share = |(bin, count): (usize, &u32)| (bin as u16, *count as f32 / tokens.len() as f32);
    counts.iter().enumerate().filter(|(_, count)| **count > 0).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_fall_into_all_bins_and_their_shares_sum_to_one() {
        let bins = token_bins(&(0..4096).collect::<Vec<u32>>());
        assert_eq!(bins.len(), TOKEN_BINS);
        assert!((bins.iter().map(|(_, share)| share).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(bins.iter().all(|(_, share)| (0.005..0.03).contains(share)), "{bins:?}");
        assert_eq!(token_bins(&[7, 7, 7]).len(), 1);
        assert_eq!(token_bins(&[]), []);
    }
}
