use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::loss::ValidationLoss;

/// What validation has said of a run so far: a part of its checkpoints, so that a run which goes on decides as one that was
/// never interrupted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::train) struct Watch {
    /// The step after which it was asked last.
    pub(in crate::train) asked_at: Option<u64>,
    /// What the run began with.
    first: Option<Kept>,
    last: Option<Kept>,
    best: Option<Best>,
    /// Times since the best one that it was asked.
    since_best: u64,
}

/// The least loss so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    step: u64,
    loss: Kept,
}

/// A loss as bits: what JSON reads back of a decimal number may differ in the last of them, and decide otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    loss: u64,
    balanced: u64,
    origins: BTreeMap<String, u64>,
}

impl From<&ValidationLoss> for Kept {
    fn from(ValidationLoss { loss, balanced, origins }: &ValidationLoss) -> Self {
        let origins = origins.iter().map(|(origin, loss)| (origin.clone(), loss.to_bits())).collect();
        Self { loss: loss.to_bits(), balanced: balanced.to_bits(), origins }
    }
}

impl From<&Kept> for ValidationLoss {
    fn from(Kept { loss, balanced, origins }: &Kept) -> Self {
        let origins = origins.iter().map(|(origin, loss)| (origin.clone(), f64::from_bits(*loss))).collect();
        Self { loss: f64::from_bits(*loss), balanced: f64::from_bits(*balanced), origins }
    }
}

/// What validation said of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// What the run began with: the champion's loss, or that of the base model.
    pub first: Option<ValidationLoss>,
    /// After its last step.
    pub last: ValidationLoss,
    /// The step with the least loss, and that.
    pub best: (u64, ValidationLoss),
    /// The step that the run's adapter is of.
    pub returned_step: u64,
    /// Whether the run ended before all its steps, for the loss no longer fell.
    pub stopped_early: bool,
}

impl Watch {
    /// Takes in a loss. True where it is the least since the run began: what the run began with does not count, as in
    /// transformers.
    pub(in crate::train) fn take(&mut self, step: u64, loss: &ValidationLoss) -> bool {
        self.asked_at = Some(step);
        if step == 0 {
            self.first = Some(loss.into());
            return false;
        }
        let better = self.best.as_ref().is_none_or(|best| loss.balanced < f64::from_bits(best.loss.balanced));
        self.since_best = if better { 0 } else { self.since_best + 1 };
        if better {
            self.best = Some(Best { step, loss: loss.into() });
        }
        self.last = Some(loss.into());
        better
    }

    /// Whether it was asked so many times without a new best one: transformers' `EarlyStoppingCallback`, with a threshold of 0.
    pub(in crate::train) fn is_out_of_patience(&self, patience: Option<u64>) -> bool {
        patience.is_some_and(|patience| self.since_best >= patience)
    }

    /// What is told in the end; `None` where it was never asked.
    pub(in crate::train) fn summary(&self, load_best: bool, step: u64, stopped_early: bool) -> Option<Validated> {
        let (last, best) = (self.last.as_ref()?, self.best.as_ref()?);
        let returned_step = if load_best { best.step } else { step };
        let best = (best.step, (&best.loss).into());
        Some(Validated {
            first: self.first.as_ref().map(Into::into),
            last: last.into(),
            best,
            returned_step,
            stopped_early,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(balanced: f64) -> ValidationLoss {
        ValidationLoss { loss: 9.0, balanced, origins: BTreeMap::new() }
    }

    #[test]
    fn patience_counts_from_the_best_and_the_beginning_is_none() {
        let mut watch = Watch::default();
        assert!(!watch.take(0, &loss(0.1)) && watch.summary(true, 0, false).is_none());
        let better: Vec<bool> = [3.0, 2.0, 2.0, 2.5]
            .into_iter()
            .enumerate()
            .map(|(at, value)| watch.take(at as u64 + 1, &loss(value)))
            .collect();
        // An equal one is no better.
        assert_eq!(better, [true, true, false, false]);
        assert!(watch.is_out_of_patience(Some(2)) && !watch.is_out_of_patience(Some(3)));
        assert!(!watch.is_out_of_patience(None));
        let told = watch.summary(true, 4, true).unwrap();
        assert_eq!((told.best.0, told.returned_step, told.last.balanced), (2, 2, 2.5));
        assert_eq!(watch.summary(false, 4, true).unwrap().returned_step, 4);
        assert!(!watch.take(5, &loss(2.0)) && watch.take(6, &loss(1.0)) && !watch.is_out_of_patience(Some(1)));
    }

    #[test]
    fn reads_back_as_it_was_written_to_the_last_bit() {
        let mut watch = Watch::default();
        watch.take(0, &loss(1.0 / 3.0));
        watch.take(7, &ValidationLoss { origins: [("new".to_owned(), 0.1 + 0.2)].into(), ..loss(2.0_f64.ln()) });
        let text = serde_json::to_string(&watch).unwrap();
        assert_eq!(serde_json::from_str::<Watch>(&text).unwrap(), watch);
    }
}
