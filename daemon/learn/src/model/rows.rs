use std::sync::Arc;

use candle_core::{Result, bail};

/// The input of a forward pass: tokens of several sequences one after another, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The token of each row.
    pub tokens: Arc<[u32]>,
    /// The place of each row in its own sequence, from 0.
    pub positions: Arc<[u32]>,
}

impl Rows {
    /// Whole sequences one after another, and where each starts: `cu_seqlens`, first 0, last the number of rows.
    pub fn packed<S: AsRef<[u32]>>(sequences: &[S]) -> (Self, Arc<[u32]>) {
        let sequences = || sequences.iter().map(AsRef::as_ref);
        let mut cu_seqlens = vec![0];
        cu_seqlens.extend(sequences().scan(0, |end, sequence| {
            *end += sequence.len() as u32;
            Some(*end)
        }));
        let tokens = sequences().flatten().copied().collect();
        let positions = sequences().flat_map(|sequence| 0..sequence.len() as u32).collect();
        (Self { tokens, positions }, cu_seqlens.into())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// That a model with so many tokens and positions has what the rows ask for.
    pub(super) fn check(&self, vocab: usize, positions_max: usize) -> Result<()> {
        if let Some(token) = self.tokens.iter().find(|token| **token as usize >= vocab) {
            bail!("token {token} is outside of the model's vocabulary of {vocab} tokens");
        }
        if let Some(position) = self.positions.iter().find(|position| **position as usize >= positions_max) {
            bail!("position {position} is beyond the model's context of {positions_max} tokens");
        }
        if self.positions.len() != self.len() {
            bail!("{} rows have {} positions", self.len(), self.positions.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sequences_count_their_own_positions() {
        let (rows, cu_seqlens) = Rows::packed(&[vec![5, 6, 7], vec![8], vec![]]);
        assert_eq!(&*rows.tokens, [5, 6, 7, 8]);
        assert_eq!(&*rows.positions, [0, 1, 2, 0]);
        assert_eq!(&*cu_seqlens, [0, 3, 4, 4]);
    }
}
