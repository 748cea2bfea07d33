use super::{
    Detector, Scope,
    vectors::{Vectors, dot},
};
use crate::{Comparison, Tail, View};

/// How far the middle of the embeddings has moved: 1 less the cosine of the two mean vectors.
pub(super) struct Centroid;

/// The least distance that is worth telling.
const FLOOR: f64 = 1e-3;

impl Detector for Centroid {
    fn name(&self) -> &'static str {
        "embedding_centroid"
    }

    fn meaning(&self) -> &'static str {
        "1 less the cosine of the mean embeddings: 0 as before, 1 nothing in common"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let vectors = Vectors::of(reference, current)?;
        let [reference, current] = vectors.counts;
        let score = move |reference: &[u32], current: &[u32]| {
            let (before, now) = (vectors.mean(reference), vectors.mean(current));
            let norms = (dot(&before, &before) * dot(&now, &now)).sqrt();
            if norms > 0.0 { 1.0 - dot(&before, &now) / norms } else { 0.0 }
        };
        let score = Box::new(score);
        Some(Comparison { reference, current, tail: Tail::Exponential, floor: FLOOR, has_ghost: false, score })
    }
}
