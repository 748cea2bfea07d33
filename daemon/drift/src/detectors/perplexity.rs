use super::{Detector, Scope};
use crate::{Comparison, Tail, View};

/// Whether the champion finds what comes in less likely than what it was judged by: the difference of the mean losses per token of
/// fresh rows and of held-out rows of the reference's time, the logarithm of the ratio of two perplexities.
pub(super) struct Perplexity;

/// The least rise that is worth telling, in nats: a perplexity of 2 % more.
const FLOOR: f64 = 0.02;

impl Detector for Perplexity {
    fn name(&self) -> &'static str {
        "perplexity"
    }

    fn meaning(&self) -> &'static str {
        "rise of the champion's loss on fresh rows over held-out ones of before, in nats per token: 0 as before, 0.7 twice the perplexity"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let (before, now) = (reference.losses.len(), current.losses.len());
        if before == 0 || now == 0 {
            return None;
        }
        let losses: Vec<f64> = reference.losses.iter().chain(current.losses).copied().collect();
        let mean =
            move |drawn: &[u32]| drawn.iter().map(|unit| losses[*unit as usize]).sum::<f64>() / drawn.len() as f64;
        let score = Box::new(move |reference: &[u32], current: &[u32]| mean(current) - mean(reference));
        Some(Comparison {
            reference: before,
            current: now,
            tail: Tail::Gaussian,
            floor: FLOOR,
            has_ghost: false,
            score,
        })
    }
}
