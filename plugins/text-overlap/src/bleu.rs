use perennial_reward_sdk::text::{counts, overlap};

use crate::tokens::mteval_13a;

/// The longest n-gram that counts.
const ORDER_MAX: usize = 4;

/// BLEU of one sentence (Papineni et al. 2002) as sacrebleu's `sentence_bleu` computes it: mteval-13a tokens, exponential
/// smoothing of orders without a match, and only the orders that the answer is long enough for. In 0 ..= 1.
pub(crate) fn bleu(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (mteval_13a(answer), mteval_13a(reference));
    let mut log_sum = 0.0;
    let mut orders = 0.0;
    let mut smoothing = 1.0;
    for n in 1..=ORDER_MAX.min(answer.len()) {
        let matched = overlap(&counts(&answer, n), &counts(&reference, n));
        // An n-gram of the answer that matches holds a word that does.
        if n == 1 && matched == 0 {
            return 0.0;
        }
        let total = (answer.len() + 1 - n) as f64;
        let precision = if matched == 0 {
            smoothing *= 2.0;
            1.0 / (smoothing * total)
        } else {
            matched as f64 / total
        };
        log_sum += precision.ln();
        orders += 1.0;
    }
    if orders == 0.0 {
        return 0.0;
    }
    let brevity = (1.0 - reference.len() as f64 / answer.len() as f64).min(0.0);
    (brevity + log_sum / orders).exp().min(1.0)
}
