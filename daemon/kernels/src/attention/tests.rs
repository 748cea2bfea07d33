use super::*;
use crate::testing::{assert_close, assert_independent_of_threads, check_slopes, noise, reference_attention};

struct Case {
    heads: Heads,
    cu_seqlens: Vec<u32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Case {
    fn new(q_heads: usize, kv_heads: usize, dim: usize, lengths: &[usize]) -> Self {
        let (heads, rows) = (Heads { q_heads, kv_heads, dim }, lengths.iter().sum::<usize>());
        let mut sum = 0;
        let ends = lengths.iter().map(|length| (sum += *length as u32, sum).1);
        let cu_seqlens = std::iter::once(0).chain(ends).collect();
        let q = noise(rows * heads.q_cols(), 1).iter().map(|q| 3.0 * q).collect();
        Self { heads, cu_seqlens, q, k: noise(rows * heads.kv_cols(), 2), v: noise(rows * heads.kv_cols(), 3) }
    }

    fn attention(&self) -> Attention<'_, f32> {
        Attention { heads: self.heads, cu_seqlens: &self.cu_seqlens, q: &self.q, k: &self.k, v: &self.v }
    }

    fn check_gradients(&self) {
        let (attention, d_out) = (self.attention(), noise(self.q.len(), 4));
        let [dq, dk, dv] = backward(attention, &d_out);
        check_slopes(&self.q, &dq, |q| (forward(Attention { q, ..attention }).0, d_out.clone()));
        check_slopes(&self.k, &dk, |k| (forward(Attention { k, ..attention }).0, d_out.clone()));
        check_slopes(&self.v, &dv, |v| (forward(Attention { v, ..attention }).0, d_out.clone()));
    }
}

fn forward(attention: Attention<'_, f32>) -> (Vec<f32>, Vec<f32>) {
    let mut out = vec![f32::NAN; attention.q.len()];
    let log_sums = attention.forward(&mut out);
    (out, log_sums)
}

fn backward(attention: Attention<'_, f32>, d_out: &[f32]) -> [Vec<f32>; 3] {
    let (out, log_sums) = forward(attention);
    let [mut dq, mut dk, mut dv] = [attention.q, attention.k, attention.v].map(|of| vec![f32::NAN; of.len()]);
    let gradients = AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
    attention.backward(Attended { out: &out, log_sums: &log_sums }, d_out, gradients);
    [dq, dk, dv]
}

#[test]
fn agrees_with_the_formula_over_odd_shapes() {
    for (q_heads, kv_heads, dim, lengths) in
        [(1, 1, 1, vec![1]), (6, 2, 8, vec![5, 1, 70, 64, 3]), (4, 4, 5, vec![129]), (3, 1, 64, vec![65, 64])]
    {
        let case = Case::new(q_heads, kv_heads, dim, &lengths);
        let expected = reference_attention(&case.q, &case.k, &case.v, &lengths, case.heads);
        assert_close(&forward(case.attention()).0, &expected, 2e-6);
    }
}

#[test]
fn gradients() {
    Case::new(4, 2, 2, &[4, 1, 4]).check_gradients();
}

#[test]
fn gradients_across_blocks() {
    Case::new(2, 1, 2, &[BLOCK + 3]).check_gradients();
}

#[test]
fn sequences_do_not_see_each_other() {
    let case = Case::new(2, 1, 4, &[7, 5]);
    let (q_from, kv_from) = (7 * case.heads.q_cols(), 7 * case.heads.kv_cols());
    let alone = Attention {
        heads: case.heads,
        cu_seqlens: &[0, 5],
        q: &case.q[q_from..],
        k: &case.k[kv_from..],
        v: &case.v[kv_from..],
    };
    assert_eq!(forward(case.attention()).0[q_from..], forward(alone).0);
}

#[test]
fn does_not_depend_on_threads() {
    let case = Case::new(4, 2, 16, &[130, 70]);
    assert_independent_of_threads(|| {
        let out = forward(case.attention()).0;
        let d_out: Vec<f32> = out.iter().map(|out| 2.0 * out).collect();
        [&[out], &backward(case.attention(), &d_out)[..]].concat().concat()
    });
}
