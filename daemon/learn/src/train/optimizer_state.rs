use perennial_types::{Fingerprint, Fingerprinter};

use super::{
    TrainError,
    numbers::{Numbers, add_to, find},
    parameters::{Parameter, Parameters},
};
use crate::adapter::Adapter;

const MEAN: &str = ".mean";
const SQUARE: &str = ".square";

/// What AdamW knows at the end of a run: the running means of gradients and of their squares, and over how many steps they were
/// taken. The next run of the objective can begin with it.
///
/// The steps go on as well, as they do where torch's `Optimizer.load_state_dict` loads a state: the correction of the bias is for
/// means that began at 0, and these began that long ago. So the first step of the next run is one of the size of all others.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// What the run ended with, by its fingerprint.
    pub(super) adapter: Fingerprint,
    pub(super) steps: u64,
    /// By name.
    pub(super) tensors: Vec<Numbers>,
}

impl OptimizerState {
    /// Of the means of each matrix and those of the squares.
    pub(super) fn new(
        adapter: Fingerprint,
        steps: u64,
        parameters: &Parameters,
        means: Vec<Vec<f32>>,
        squares: Vec<Vec<f32>>,
    ) -> Self {
        let named = |suffix: &'static str, all: Vec<Vec<f32>>| {
            let of = move |(matrix, values): (&Parameter, Vec<f32>)| Numbers {
                name: matrix.name() + suffix,
                shape: matrix.shape.clone(),
                values,
            };
            parameters.matrices.iter().zip(all).map(of)
        };
        let mut tensors: Vec<Numbers> = named(MEAN, means).chain(named(SQUARE, squares)).collect();
        tensors.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Self { adapter, steps, tensors }
    }

    /// Whether it goes with this adapter.
    ///
    /// # Errors
    /// Where the adapter's numbers cannot be read.
    pub fn is_of(&self, adapter: &Adapter) -> Result<bool, TrainError> {
        Ok(self.adapter == adapter.fingerprint()?)
    }

    /// The same for runs that go on from this adapter, which later objectives made of the one that the run ended with.
    ///
    /// # Errors
    /// Where the adapter's numbers cannot be read.
    pub fn kept_with(self, adapter: &Adapter) -> Result<Self, TrainError> {
        Ok(Self { adapter: adapter.fingerprint()?, ..self })
    }

    /// Optimiser steps that it was taken over, in this run and those before it.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Of steps, names and numbers.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new().part(&self.steps.to_le_bytes());
        add_to(&mut fingerprinter, &self.tensors);
        fingerprinter.finish()
    }

    /// The means of each matrix, and those of the squares.
    pub(super) fn of(&self, parameters: &Parameters) -> Result<[Vec<Vec<f32>>; 2], TrainError> {
        let all = |suffix: &str| -> Result<Vec<Vec<f32>>, TrainError> {
            let of_matrix = |matrix: &Parameter| {
                let name = matrix.name() + suffix;
                let missing = || TrainError::Checkpoint(format!("the optimiser's state has no {name} of this shape"));
                find(&self.tensors, &name, &matrix.shape).ok_or_else(missing)
            };
            parameters.matrices.iter().map(of_matrix).collect()
        };
        Ok([all(MEAN)?, all(SQUARE)?])
    }
}
