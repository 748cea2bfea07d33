//! Whether an adapter that a server has is applied when it is asked for: an adapter that is listed and not applied has been seen.

/// What a server may go on with after a prompt, each token with its log-probability.
pub(crate) type Tokens = Vec<(String, f64)>;

/// Of several sorts, so that whatever was learned moves one of them.
pub(crate) const PROMPTS: [&str; 4] =
    ["The", "Question: what is the capital of France?\nAnswer:", "{\"name\": \"", "fn main() {"];
/// How much further than the server's own noise the answers must be from the base model's, in nats …
const NOISE_FACTOR: f64 = 2.0;
/// … and at least so far.
const DIFFERENCE_MIN: f64 = 1e-4;

/// That the adapter's answers to the [`PROMPTS`] differ from the base model's, which was asked twice, since no server answers the same
/// to the last bit.
///
/// # Errors
/// How little they do, as the rest of a sentence.
pub(crate) fn check_differs(base: &[Vec<Tokens>; 2], adapted: &[Tokens]) -> Result<(), String> {
    let [first, again] = base;
    let (noise, difference) = (distance(first, again), distance(first, adapted));
    if difference > DIFFERENCE_MIN.max(NOISE_FACTOR * noise) {
        return Ok(());
    }
    Err(format!(
        "the adapter is not applied (the log-probabilities differ by {difference:.6}, and by {noise:.6} from one answer to the next); is it \
         the same base model?"
    ))
}

/// The largest difference of a log-probability that both tell; infinite where the likeliest token of one is not among the other's.
fn distance(one: &[Tokens], other: &[Tokens]) -> f64 {
    let of_prompt = |(one, other): (&Tokens, &Tokens)| {
        let of = |token: &str| other.iter().find(|(name, _)| name == token).map(|(_, logprob)| *logprob);
        let likeliest = one.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let is_known = likeliest.is_some_and(|(token, _)| of(token).is_some());
        let differences = one.iter().filter_map(|(token, logprob)| Some((logprob - of(token)?).abs()));
        differences.fold(if is_known { 0.0 } else { f64::INFINITY }, f64::max)
    };
    one.iter().zip(other).map(of_prompt).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(of: &[(&str, f64)]) -> Tokens {
        of.iter().map(|(token, logprob)| ((*token).to_owned(), *logprob)).collect()
    }

    #[test]
    fn the_distance_is_that_of_the_token_that_moved_most() {
        let base = [tokens(&[("a", -1.0), ("b", -2.0)]), tokens(&[("c", -0.5)])];
        assert_eq!(distance(&base, &base), 0.0);
        let moved = [tokens(&[("b", -2.5), ("a", -1.0)]), tokens(&[("c", -0.75)])];
        assert_eq!(distance(&base, &moved), 0.5);
        // The last of a few often change places with those that are not told.
        let noisy = [tokens(&[("a", -1.0), ("d", -2.0)]), tokens(&[("c", -0.5)])];
        assert_eq!(distance(&base, &noisy), 0.0);
        let others = [tokens(&[("x", -1.0)]), tokens(&[("c", -0.5)])];
        assert_eq!(distance(&base, &others), f64::INFINITY);
    }
}
