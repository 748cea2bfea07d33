use std::{collections::BTreeMap, sync::Arc};

use perennial_kernels::{Attended, Attention, AttentionGradients, Element, Heads};

use super::Rows;

/// Sequences of which several may begin alike, such as the completions of one prompt. Equal beginnings are rows once, and
/// all but the attention of a forward pass is computed on these rows alone.
pub struct Branches {
    rows: Rows,
    sequences: Vec<Sequence>,
    /// Where each sequence starts among all rows of all sequences.
    cu_seqlens: Arc<[u32]>,
    fan_out: Option<FanOut>,
}

/// How rows are spread over sequences.
struct FanOut {
    /// The row that stands for each row of each sequence.
    spread: Vec<u32>,
    /// The first place where each row does.
    places: Vec<u32>,
}

/// The rows of one sequence.
struct Sequence {
    trunk_start: u32,
    trunk_len: u32,
    own_start: u32,
}

impl Branches {
    /// Of sequences, each with the length of what it may share with others: that is shared where it is equal.
    pub fn new(sequences: &[(&[u32], usize)]) -> Self {
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
        let fan_out = (spread.len() > tokens.len()).then(|| FanOut::new(spread, tokens.len()));
        let rows = Rows { tokens: tokens.into(), positions: positions.into() };
        Self { rows, sequences: found, cu_seqlens: cu_seqlens.into(), fan_out }
    }

    /// What goes through the model: each shared beginning once, and then what is each sequence's own.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The row of a place in a sequence.
    pub fn row_of(&self, sequence: usize, place: usize) -> u32 {
        let (Sequence { trunk_start, trunk_len, own_start }, place) = (&self.sequences[sequence], place as u32);
        if place < *trunk_len { trunk_start + place } else { own_start + place - trunk_len }
    }

    /// Where each sequence starts among all rows of all sequences, and which row stands for each of those; `None` where each
    /// stands for itself.
    pub(super) fn spread_rows(&self) -> (&[u32], Option<&[u32]>) {
        (&self.cu_seqlens, self.fan_out.as_ref().map(|fan_out| &*fan_out.spread))
    }

    /// The attention of each sequence to itself, for q, k and v of the rows; `out` is as q. Gives the log-sums of all rows of
    /// all sequences, for the way back.
    pub(super) fn attend<E: Element>(&self, heads: Heads, [q, k, v]: [&[E]; 3], out: &mut [E]) -> Vec<f32> {
        let cu_seqlens = &*self.cu_seqlens;
        let Some(FanOut { spread, places }) = &self.fan_out else {
            return Attention { heads, cu_seqlens, q, k, v }.forward(out);
        };
        let [q, k, v] = self.spread(spread, heads, [q, k, v]);
        let mut spread_out = vec![E::default(); q.len()];
        let log_sums = Attention { heads, cu_seqlens, q: &q, k: &k, v: &v }.forward(&mut spread_out);
        let cols = heads.q_cols();
        for (out, place) in out.chunks_exact_mut(cols).zip(places) {
            out.copy_from_slice(&spread_out[*place as usize * cols..][..cols]);
        }
        log_sums
    }

    /// The gradients of q, k and v of the rows.
    pub(super) fn attend_backward<E: Element>(
        &self,
        heads: Heads,
        [q, k, v]: [&[E]; 3],
        attended: Attended<'_, E>,
        d_out: &[f32],
        gradients: AttentionGradients<'_>,
    ) {
        let cu_seqlens = &*self.cu_seqlens;
        let Some(FanOut { spread, places }) = &self.fan_out else {
            return Attention { heads, cu_seqlens, q, k, v }.backward(attended, d_out, gradients);
        };
        let [q, k, v] = self.spread(spread, heads, [q, k, v]);
        let (cols, kv_cols) = (heads.q_cols(), heads.kv_cols());
        let out = gather(attended.out, spread, cols);
        // What comes of a row that stands for several places is taken from the first of them, and so is its gradient.
        let mut spread_d_out = vec![0.0; spread.len() * cols];
        for (place, d_out) in places.iter().zip(d_out.chunks_exact(cols)) {
            spread_d_out[*place as usize * cols..][..cols].copy_from_slice(d_out);
        }
        let [mut dq, mut dk, mut dv] = [cols, kv_cols, kv_cols].map(|cols| vec![0.0; spread.len() * cols]);
        Attention { heads, cu_seqlens, q: &q, k: &k, v: &v }.backward(
            Attended { out: &out, ..attended },
            &spread_d_out,
            AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv },
        );
        gather_sums(gradients.dq, &dq, spread, cols);
        gather_sums(gradients.dk, &dk, spread, kv_cols);
        gather_sums(gradients.dv, &dv, spread, kv_cols);
    }

    fn spread<E: Element>(&self, spread: &[u32], heads: Heads, [q, k, v]: [&[E]; 3]) -> [Vec<E>; 3] {
        [gather(q, spread, heads.q_cols()), gather(k, spread, heads.kv_cols()), gather(v, spread, heads.kv_cols())]
    }
}

impl FanOut {
    fn new(spread: Vec<u32>, rows: usize) -> Self {
        let mut places = vec![u32::MAX; rows];
        for (place, row) in (0..).zip(&spread) {
            let first = &mut places[*row as usize];
            *first = place.min(*first);
        }
        Self { spread, places }
    }
}

/// These rows of `cols` values, in this order.
fn gather<T: Copy>(values: &[T], rows: &[u32], cols: usize) -> Vec<T> {
    rows.iter().flat_map(|row| &values[*row as usize * cols..][..cols]).copied().collect()
}

/// The sums of the values that belong to each row.
fn gather_sums(sums: &mut [f32], values: &[f32], rows: &[u32], cols: usize) {
    sums.fill(0.0);
    for (row, values) in rows.iter().zip(values.chunks_exact(cols)) {
        sums[*row as usize * cols..][..cols].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{self, Architecture, Workspace, testing::tiny_model};

    #[test]
    fn equal_beginnings_are_rows_once() {
        let sequences: [(&[u32], usize); 3] = [(&[5, 6, 7], 2), (&[5, 6, 8, 9], 2), (&[5, 7], 2)];
        let branches = Branches::new(&sequences);
        assert_eq!(*branches.rows.tokens, [5, 6, 7, 8, 9, 5, 7]);
        assert_eq!(*branches.rows.positions, [0, 1, 2, 2, 3, 0, 1]);
        assert_eq!([branches.row_of(1, 1), branches.row_of(1, 2), branches.row_of(2, 0)], [1, 3, 5]);
    }

    #[test]
    fn every_sequence_has_the_hidden_states_that_it_has_alone() {
        let model = tiny_model(Architecture::Qwen3);
        let sequences: [(&[u32], usize); 3] = [(&[5, 6, 7, 30], 3), (&[90, 91], 1), (&[5, 6, 7, 8, 9], 3)];
        let branches = Branches::new(&sequences);
        let hidden = |rows: &Rows, attention: model::Attention<'_>| {
            model.decoder.hidden(rows, attention, None, &mut Workspace::default()).unwrap()
        };
        let together = hidden(branches.rows(), model::Attention::Branches(&branches));
        for (index, (tokens, _)) in sequences.iter().enumerate() {
            let (rows, cu_seqlens) = Rows::packed(&[tokens]);
            let alone = hidden(&rows, model::Attention::Packed(&cu_seqlens));
            for (place, alone) in alone.rows().enumerate() {
                let together = together.rows().nth(branches.row_of(index, place) as usize).unwrap();
                assert!(together.iter().zip(alone).all(|(one, other)| (one - other).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn gradients_of_a_beginning_are_those_of_all_that_share_it() {
        let sequences: [(&[u32], usize); 2] = [(&[1, 2, 3], 2), (&[1, 2, 4], 2)];
        let (branches, heads) = (Branches::new(&sequences), Heads { q_heads: 1, kv_heads: 1, dim: 4 });
        let x: Vec<f32> = (0..16).map(|i| ((i * 7 + 3) % 11) as f32 / 11.0).collect();
        let d_out: Vec<f32> = (0..16).map(|i| ((i * 5 + 2) % 7) as f32 / 7.0).collect();
        let mut out = [0.0; 16];
        let log_sums = branches.attend(heads, [&x, &x, &x], &mut out);
        let mut got = [[0.0; 16]; 3];
        let [dq, dk, dv] = &mut got;
        let attended = Attended { out: &out, log_sums: &log_sums };
        branches.attend_backward(heads, [&x, &x, &x], attended, &d_out, AttentionGradients { dq, dk, dv });

        let spread = gather(&x, &[0, 1, 2, 0, 1, 3], 4);
        let plain = Attention { heads, cu_seqlens: &[0, 3, 6], q: &spread, k: &spread, v: &spread };
        let mut plain_out = [0.0; 24];
        let log_sums = plain.forward(&mut plain_out);
        assert_eq!(out[..], gather(&plain_out, &[0, 1, 2, 5], 4));
        let mut d_plain = gather(&d_out, &[0, 1, 2, 0, 1, 3], 4);
        d_plain[12..20].fill(0.0);
        let mut expected = [[0.0; 24]; 3];
        let [dq, dk, dv] = &mut expected;
        let attended = Attended { out: &plain_out, log_sums: &log_sums };
        plain.backward(attended, &d_plain, AttentionGradients { dq, dk, dv });
        for (got, expected) in got.iter().zip(&expected) {
            let mut sums = [0.0; 16];
            gather_sums(&mut sums, expected, &[0, 1, 2, 0, 1, 3], 4);
            assert!(got.iter().zip(&sums).all(|(got, expected)| (got - expected).abs() < 1e-6));
        }
    }
}
