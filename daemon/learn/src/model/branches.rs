use std::{collections::BTreeMap, sync::Arc};

use candle_core::{Device, Result, Tensor};
use perennial_kernels::packed_attention;

use super::Rows;

/// Sequences of which several may begin alike, such as the completions of one prompt. Equal beginnings are rows once, and
/// all but the attention of a forward pass is computed on these rows alone.
pub struct Branches {
    rows: Rows,
    sequences: Vec<Sequence>,
    /// Where each sequence starts among all rows of all sequences.
    cu_seqlens: Arc<[u32]>,
    /// The row that stands for each row of each sequence, and the first place where each row does.
    fan_out: Option<(Tensor, Tensor)>,
}

/// The rows of one sequence.
struct Sequence {
    trunk_start: u32,
    trunk_len: u32,
    own_start: u32,
}

impl Branches {
    /// Of sequences, each with the length of what it may share with others: that is shared where it is equal.
    ///
    /// # Errors
    /// Where the indices do not become tensors.
    pub fn new(sequences: &[(&[u32], usize)]) -> Result<Self> {
        let (mut tokens, mut positions) = (Vec::new(), Vec::new());
        let mut push = |part: &[u32], first: usize| {
            let start = tokens.len() as u32;
            tokens.extend_from_slice(part);
            positions.extend(first as u32..(first + part.len()) as u32);
            start
        };
        let (mut trunks, mut found, mut spread) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut cu_seqlens = vec![0];
        for (sequence, shared) in sequences {
            let (trunk, own) = sequence.split_at(*shared);
            let trunk_start = *trunks.entry(trunk).or_insert_with(|| push(trunk, 0));
            let own_start = push(own, trunk.len());
            spread.extend(trunk_start..trunk_start + trunk.len() as u32);
            spread.extend(own_start..own_start + own.len() as u32);
            cu_seqlens.push(spread.len() as u32);
            found.push(Sequence { trunk_start, trunk_len: trunk.len() as u32, own_start });
        }
        let fan_out = (spread.len() > tokens.len()).then(|| fan_out(spread, tokens.len())).transpose()?;
        let rows = Rows { tokens: tokens.into(), positions: positions.into() };
        Ok(Self { rows, sequences: found, cu_seqlens: cu_seqlens.into(), fan_out })
    }

    /// The rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The row of a place in a sequence.
    pub fn row_of(&self, sequence: usize, place: usize) -> u32 {
        let (Sequence { trunk_start, trunk_len, own_start }, place) = (&self.sequences[sequence], place as u32);
        if place < *trunk_len { trunk_start + place } else { own_start + place - trunk_len }
    }

    /// The attention of each sequence to itself, for q, k and v of the rows.
    pub(super) fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor, head_dim: usize) -> Result<Tensor> {
        let Some((spread, rows)) = &self.fan_out else { return packed_attention(q, k, v, &self.cu_seqlens, head_dim) };
        let spread = |x: &Tensor| x.index_select(spread, 0);
        packed_attention(&spread(q)?, &spread(k)?, &spread(v)?, &self.cu_seqlens, head_dim)?.index_select(rows, 0)
    }
}

fn fan_out(spread: Vec<u32>, rows: usize) -> Result<(Tensor, Tensor)> {
    let mut places = vec![u32::MAX; rows];
    for (place, row) in (0..).zip(&spread) {
        let first = &mut places[*row as usize];
        *first = place.min(*first);
    }
    let count = spread.len();
    Ok((Tensor::from_vec(spread, count, &Device::Cpu)?, Tensor::from_vec(places, rows, &Device::Cpu)?))
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::model::{Architecture, Attention, testing::tiny_model};

    #[test]
    fn equal_beginnings_are_rows_once() {
        let sequences: [(&[u32], usize); 3] = [(&[5, 6, 7], 2), (&[5, 6, 8, 9], 2), (&[5, 7], 2)];
        let branches = Branches::new(&sequences).unwrap();
        assert_eq!(*branches.rows.tokens, [5, 6, 7, 8, 9, 5, 7]);
        assert_eq!(*branches.rows.positions, [0, 1, 2, 2, 3, 0, 1]);
        assert_eq!([branches.row_of(1, 1), branches.row_of(1, 2), branches.row_of(2, 0)], [1, 3, 5]);
    }

    #[test]
    fn every_sequence_has_the_hidden_states_that_it_has_alone() {
        let model = tiny_model(Architecture::Qwen3);
        let sequences: [(&[u32], usize); 3] = [(&[5, 6, 7, 30], 3), (&[90, 91], 1), (&[5, 6, 7, 8, 9], 3)];
        let branches = Branches::new(&sequences).unwrap();
        let together = model.decoder.hidden(branches.rows(), Attention::Branches(&branches), None).unwrap();
        for (index, (tokens, _)) in sequences.iter().enumerate() {
            let (rows, cu_seqlens) = Rows::packed(&[tokens]);
            let alone = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None).unwrap();
            for place in 0..tokens.len() {
                let row = |hidden: &Tensor, row: usize| hidden.get(row).unwrap().to_vec1::<f32>().unwrap();
                let (one, other) = (row(&together, branches.row_of(index, place) as usize), row(&alone, place));
                assert!(one.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn gradients_of_a_beginning_are_those_of_all_that_share_it() {
        let sequences: [(&[u32], usize); 2] = [(&[1, 2, 3], 2), (&[1, 2, 4], 2)];
        let (branches, plain) = (Branches::new(&sequences).unwrap(), [0_u32, 1, 2, 0, 1, 3]);
        let values: Vec<f32> = (0..16).map(|i| ((i * 7 + 3) % 11) as f32 / 11.0).collect();
        let x = Var::from_vec(values, (4, 4), &Device::Cpu).unwrap();
        let forked = branches.attention(&x, &x, &x, 4).unwrap();
        let spread = x.index_select(&Tensor::new(&plain, &Device::Cpu).unwrap(), 0).unwrap();
        let packed = packed_attention(&spread, &spread, &spread, &Arc::from([0, 3, 6]), 4).unwrap();
        let rows = Tensor::new(&[0_u32, 1, 2, 5], &Device::Cpu).unwrap();
        let gradient = |y: Tensor| {
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let (got, expected) = (gradient(forked), gradient(packed.index_select(&rows, 0).unwrap()));
        assert!(
            got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-5),
            "{got:?}, {expected:?}"
        );
    }
}
