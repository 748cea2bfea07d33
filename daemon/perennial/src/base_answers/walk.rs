//! Which prompts are answered for a mix: one after the other in a given order, until there are enough tokens.

use perennial_data::replay::Budget;

/// Prompts that are answered and kept together at most: so many are asked again after a crash.
const BATCH_MAX: usize = 16;

/// … and at least, where so many are left: one alone takes nearly as long as a few.
const BATCH_MIN: usize = 4;

/// Where answers come from.
pub(super) trait Source {
    /// What came of asking this prompt: an answer, or none; `None` where it was not asked yet.
    fn known(&self, prompt: &str) -> Option<Option<&str>>;

    /// The longest answer, in tokens.
    fn tokens_max(&self) -> usize;

    /// Asks these prompts and keeps what came of it. `false` where the work is to stop.
    fn ask(&mut self, prompts: &[&str]) -> anyhow::Result<bool>;
}

/// The answers in this order that fit the budget, as `made` makes them of a prompt and an answer, each with its tokens. What is asked
/// depends on nothing but what is known, so that a walk that was cut off goes on as it would have. `None` where the work is to
/// stop.
pub(super) fn take<T>(
    order: &[String],
    mut budget: Budget,
    source: &mut dyn Source,
    made: impl Fn(&str, &str) -> Option<(T, u64)>,
) -> anyhow::Result<Option<Vec<T>>> {
    let mut taken: Vec<T> = Vec::new();
    for (at, prompt) in order.iter().enumerate() {
        // Another of their mean length would lead further away: it is not asked to find that out.
        let enough = if taken.is_empty() { 0.0 } else { mean(source, &budget, taken.len()) / 2.0 };
        if budget.left() <= enough {
            break;
        }
        if source.known(prompt).is_none() {
            let batch = batch(&order[at..], source, &budget, taken.len());
            if !source.ask(&batch)? {
                return Ok(None);
            }
        }
        let Some((one, tokens)) = source.known(prompt).flatten().and_then(|answer| made(prompt, answer)) else {
            continue;
        };
        if !budget.take(tokens) {
            break;
        }
        taken.push(one);
    }
    Ok(Some(taken))
}

/// The next prompts that were not asked yet, as many as are missing if they are answered as those before were.
fn batch<'a>(order: &'a [String], source: &dyn Source, budget: &Budget, taken: usize) -> Vec<&'a str> {
    let missing = (budget.left() / mean(source, budget, taken)).ceil() as usize;
    let open = order.iter().map(String::as_str).filter(|prompt| source.known(prompt).is_none());
    open.take(missing.clamp(BATCH_MIN, BATCH_MAX)).collect()
}

/// The tokens of those that were taken, or before the first what an answer may have at most.
fn mean(source: &dyn Source, budget: &Budget, taken: usize) -> f64 {
    let mean = if taken == 0 { source.tokens_max() as f64 } else { budget.taken() / taken as f64 };
    mean.max(1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Answers each prompt with itself, every fifth not at all; stops after so many batches.
    struct Echo {
        known: BTreeMap<String, Option<String>>,
        asked: Vec<String>,
        batches: usize,
    }

    impl Source for Echo {
        fn known(&self, prompt: &str) -> Option<Option<&str>> {
            self.known.get(prompt).map(Option::as_deref)
        }

        fn tokens_max(&self) -> usize {
            20
        }

        fn ask(&mut self, prompts: &[&str]) -> anyhow::Result<bool> {
            let Some(left) = self.batches.checked_sub(1) else { return Ok(false) };
            self.batches = left;
            for prompt in prompts {
                let answers = !prompt.ends_with(['0', '5']);
                self.known.insert((*prompt).to_owned(), answers.then(|| (*prompt).to_owned()));
                self.asked.push((*prompt).to_owned());
            }
            Ok(true)
        }
    }

    fn echo(known: &BTreeMap<String, Option<String>>, batches: usize) -> Echo {
        Echo { known: known.clone(), asked: Vec::new(), batches }
    }

    fn order(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("prompt {n}")).collect()
    }

    fn walk(order: &[String], tokens: f64, source: &mut Echo) -> Option<Vec<String>> {
        take(order, Budget::of(tokens), source, |_, answer| Some((answer.to_owned(), 10))).unwrap()
    }

    #[test]
    fn no_more_is_asked_than_a_mix_takes_and_nothing_twice() {
        let (order, mut source) = (order(200), echo(&BTreeMap::new(), usize::MAX));
        let first = walk(&order, 300.0, &mut source).unwrap();
        assert_eq!(first.len(), 30);
        assert!((38..38 + BATCH_MIN).contains(&source.asked.len()), "{}", source.asked.len());
        // The same mix, and a smaller one, ask nothing; another order asks what is new in it.
        let mut again = echo(&source.known, usize::MAX);
        assert_eq!(walk(&order, 300.0, &mut again).unwrap(), first);
        assert_eq!(walk(&order, 100.0, &mut again).unwrap(), first[..10]);
        let reversed: Vec<String> = order.iter().rev().cloned().collect();
        assert_eq!(walk(&reversed, 1990.0, &mut again).unwrap().len(), 160);
        assert_eq!(again.asked.len(), 200 - source.asked.len());
        assert_eq!(walk(&order, 0.0, &mut echo(&BTreeMap::new(), 0)), Some(vec![]));
    }

    #[test]
    fn a_walk_that_was_cut_off_ends_as_one_that_was_not() {
        let order = order(200);
        let mut whole = echo(&BTreeMap::new(), usize::MAX);
        let expected = walk(&order, 700.0, &mut whole).unwrap();
        for batches in 0..7 {
            let mut cut = echo(&BTreeMap::new(), batches);
            match walk(&order, 700.0, &mut cut) {
                None => assert_eq!(cut.batches, 0),
                Some(taken) => assert_eq!(taken, expected),
            }
            let mut resumed = echo(&cut.known, usize::MAX);
            assert_eq!(walk(&order, 700.0, &mut resumed).unwrap(), expected);
            assert_eq!([cut.asked, resumed.asked].concat(), whole.asked);
        }
    }
}
