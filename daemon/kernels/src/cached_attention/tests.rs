use super::*;
use crate::{
    attention::Attention,
    element::Precision,
    testing::{assert_close, assert_independent_of_threads, noise, reference_attention},
};

const LENGTH: usize = 90;
const HEADS: Heads = Heads { q_heads: 6, kv_heads: 2, dim: 4 };

struct Case {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    expected: Vec<f32>,
}

impl Case {
    /// Some rows of q, k and v.
    fn rows(&self, first: usize, rows: usize) -> (&[f32], &[f32], &[f32]) {
        let (q, kv) = (HEADS.q_cols(), HEADS.kv_cols());
        let cut = |cols: usize| first * cols..(first + rows) * cols;
        (&self.q[cut(q)], &self.k[cut(kv)], &self.v[cut(kv)])
    }
}

fn case(seed: u64) -> Case {
    let q: Vec<f32> = noise(LENGTH * HEADS.q_cols(), seed).iter().map(|q| 3.0 * q).collect();
    let (k, v) = (noise(LENGTH * HEADS.kv_cols(), seed + 1), noise(LENGTH * HEADS.kv_cols(), seed + 2));
    let expected = reference_attention(&q, &k, &v, &[LENGTH], HEADS);
    Case { q, k, v, expected }
}

fn cache() -> KvCache {
    KvCache::new(Precision::F32, 1, HEADS.kv_heads, HEADS.dim)
}

/// Attends from the rows `first..first + rows` of a case.
fn step(case: &Case, cache: &mut KvCache, slot: usize, first: usize, rows: usize) -> Vec<f32> {
    attend(case.rows(first, rows), cache, &[Span { slot, rows }])
}

fn attend(qkv: (&[f32], &[f32], &[f32]), cache: &mut KvCache, spans: &[Span]) -> Vec<f32> {
    let mut out = vec![0.0; qkv.0.len()];
    cached_attention(HEADS, qkv, cache, 0, spans, &mut out).unwrap();
    out
}

fn expected(case: &Case, first: usize, rows: usize) -> &[f32] {
    &case.expected[first * HEADS.q_cols()..(first + rows) * HEADS.q_cols()]
}

#[test]
fn pieces_of_any_size_agree_with_the_whole() {
    for pieces in [vec![LENGTH], vec![1; LENGTH], vec![40, 1, 1, 33, 2, 13]] {
        let (case, mut cache) = (case(1), cache());
        let slot = cache.insert(8);
        let mut first = 0;
        for rows in pieces {
            assert_close(&step(&case, &mut cache, slot, first, rows), expected(&case, first, rows), 2e-6);
            first += rows;
            assert_eq!(cache.len(slot).unwrap(), first);
        }
    }
}

#[test]
fn log_sums_are_those_of_whole_sequences() {
    let (case, mut cache) = (case(1), cache());
    let (q, k, v) = case.rows(0, LENGTH);
    let whole = Attention { heads: HEADS, cu_seqlens: &[0, LENGTH as u32], q, k, v };
    let expected = whole.forward(&mut vec![0.0; q.len()]);
    let slot = cache.insert(0);
    let mut log_sums = Vec::new();
    for (first, rows) in [(0, 50), (50, 1), (51, LENGTH - 51)] {
        let (qkv, spans) = (case.rows(first, rows), [Span { slot, rows }]);
        let mut out = vec![0.0; qkv.0.len()];
        log_sums.extend(cached_attention(HEADS, qkv, &mut cache, 0, &spans, &mut out).unwrap());
    }
    assert_close(&log_sums, &expected, 2e-6);
}

#[test]
fn forks_share_their_beginning_and_go_their_own_way() {
    let (case, mut cache) = (case(1), cache());
    let parent = cache.insert(0);
    step(&case, &mut cache, parent, 0, 50);
    let child = cache.fork(parent, 40).unwrap();
    let grandchild = {
        step(&case, &mut cache, child, 50, 10);
        cache.fork(child, 0).unwrap()
    };
    cache.remove(parent);
    assert_close(&step(&case, &mut cache, child, 60, 30), expected(&case, 60, 30), 2e-6);
    assert_close(&step(&case, &mut cache, grandchild, 60, 1), expected(&case, 60, 1), 2e-6);
    assert_eq!(cache.len(grandchild).unwrap(), 61);
    assert!(cache.len(parent).is_err());
    assert_eq!(cache.insert(0), parent);
}

#[test]
fn truncation_forgets_the_rest_even_of_a_shared_beginning() {
    let (case, mut cache) = (case(1), cache());
    let parent = cache.insert(0);
    step(&case, &mut cache, parent, 0, 50);
    let child = cache.fork(parent, 0).unwrap();
    step(&case, &mut cache, child, 50, 10);
    cache.truncate(child, 52).unwrap();
    assert_close(&step(&case, &mut cache, child, 52, 20), expected(&case, 52, 20), 2e-6);
    cache.truncate(child, 20).unwrap();
    assert_eq!(cache.len(child).unwrap(), 20);
    assert_close(&step(&case, &mut cache, child, 20, 3), expected(&case, 20, 3), 2e-6);
    assert_close(&step(&case, &mut cache, parent, 50, 2), expected(&case, 50, 2), 2e-6);
}

#[test]
fn a_batch_of_unequal_sequences_is_each_by_itself() {
    let (one, two) = (case(1), case(7));
    let mut cache = cache();
    let slots = [cache.insert(0), cache.insert(0)];
    step(&one, &mut cache, slots[0], 0, 30);
    step(&two, &mut cache, slots[1], 0, 7);
    let spans = [Span { slot: slots[0], rows: 1 }, Span { slot: slots[1], rows: 4 }];
    let (of_one, of_two) = (one.rows(30, 1), two.rows(7, 4));
    let (q, k) = ([of_one.0, of_two.0].concat(), [of_one.1, of_two.1].concat());
    let v = [of_one.2, of_two.2].concat();
    let out = attend((&q, &k, &v), &mut cache, &spans);
    assert_close(&out, &[expected(&one, 30, 1), expected(&two, 7, 4)].concat(), 2e-6);
}

#[test]
fn a_cache_in_bf16_is_near_to_one_in_f32() {
    let (case, mut cache) = (case(1), KvCache::new(Precision::Bf16, 1, HEADS.kv_heads, HEADS.dim));
    let slot = cache.insert(8);
    assert_close(&step(&case, &mut cache, slot, 0, 60), expected(&case, 0, 60), 2e-2);
    for first in 60..LENGTH {
        assert_close(&step(&case, &mut cache, slot, first, 1), expected(&case, first, 1), 2e-2);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (case, mut cache) = (case(1), cache());
    let slot = cache.insert(0);
    let mut attend = |layer, slot, rows| {
        let (qkv, mut out) = (case.rows(0, LENGTH), vec![0.0; LENGTH * HEADS.q_cols()]);
        cached_attention(HEADS, qkv, &mut cache, layer, &[Span { slot, rows }], &mut out).is_err()
    };
    assert!(attend(0, slot, 3));
    assert!(attend(1, slot, LENGTH));
    assert!(attend(0, slot + 1, LENGTH));
}

#[test]
fn does_not_depend_on_threads() {
    let case = case(1);
    assert_independent_of_threads(|| {
        let mut cache = cache();
        let slot = cache.insert(0);
        let mut all = step(&case, &mut cache, slot, 0, 80);
        all.extend(step(&case, &mut cache, slot, 80, 1));
        all
    });
}
