use perennial_types::{Fingerprint, Fingerprinter};

use crate::{
    adapter::Adapter,
    train::{
        TrainError,
        numbers::{Numbers, add_to, find},
        parameters::{Parameter, Parameters},
    },
};

/// How much each number of an adapter matters for what it was trained on: the diagonal of the empirical Fisher information, as
/// Avalanche's `EWCPlugin` takes it: the mean over batches of the squared gradient of the batch's loss. That is smaller than the
/// mean over samples by about the size of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Fisher {
    /// The adapter at which it was measured, by its fingerprint.
    pub(in crate::train) adapter: Fingerprint,
    /// By name.
    pub(in crate::train) tensors: Vec<Numbers>,
}

impl Fisher {
    /// What stands in the place of an adapter's parameters.
    pub(in crate::train) fn new(information: &Parameters, adapter: Fingerprint) -> Self {
        let of_matrix = |matrix: &Parameter| Numbers {
            name: matrix.name(),
            shape: matrix.shape.clone(),
            values: matrix.values.clone(),
        };
        let mut tensors: Vec<Numbers> = information.matrices.iter().map(of_matrix).collect();
        tensors.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Self { adapter, tensors }
    }

    /// Whether it was measured at this adapter.
    ///
    /// # Errors
    /// Where the adapter's numbers cannot be read.
    pub fn is_of(&self, adapter: &Adapter) -> Result<bool, TrainError> {
        Ok(self.adapter == adapter.fingerprint()?)
    }

    /// This + `decay` · an earlier one; as it is, where that is of another shape.
    #[must_use]
    pub fn after(self, earlier: &Self, decay: f64) -> Self {
        let shapes = |fisher: &Self| -> Vec<(String, Vec<usize>)> {
            fisher.tensors.iter().map(|of| (of.name.clone(), of.shape.clone())).collect()
        };
        if shapes(&self) != shapes(earlier) {
            return self;
        }
        let sum = |(one, other): (&f32, &f32)| (f64::from(*one) + decay * f64::from(*other)) as f32;
        let add = |(own, earlier): (&Numbers, &Numbers)| Numbers {
            values: own.values.iter().zip(&earlier.values).map(sum).collect(),
            ..own.clone()
        };
        let tensors = self.tensors.iter().zip(&earlier.tensors).map(add).collect();
        Self { adapter: self.adapter, tensors }
    }

    /// Of names and numbers.
    pub(in crate::train) fn fingerprint(&self) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new();
        add_to(&mut fingerprinter, &self.tensors);
        fingerprinter.finish()
    }

    /// The values in the order of an adapter's matrices.
    pub(super) fn of(&self, parameters: &Parameters) -> Result<Vec<Vec<f32>>, TrainError> {
        let of_matrix = |matrix: &Parameter| {
            let name = matrix.name();
            let missing = || TrainError::Checkpoint(format!("the Fisher information has no {name} of this shape"));
            find(&self.tensors, &name, &matrix.shape).ok_or_else(missing)
        };
        parameters.matrices.iter().map(of_matrix).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::train::penalty::testing::{elsewhere, fisher};

    #[test]
    fn the_earlier_one_fades() {
        let parameters = elsewhere();
        let sum = fisher(1.0).after(&fisher(2.0), 0.5).of(&parameters).unwrap();
        let expected = fisher(2.0).of(&parameters).unwrap();
        for (sum, expected) in sum.concat().iter().zip(expected.concat()) {
            assert!((sum - expected).abs() <= 1e-6 * expected.abs());
        }
    }
}
