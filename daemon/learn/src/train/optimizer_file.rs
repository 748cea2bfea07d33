use std::path::Path;

use super::{OptimizerState, TrainError, kept_file::Kept};

impl OptimizerState {
    /// What was kept in a file; `None` where there is none.
    ///
    /// # Errors
    /// [`TrainError::Io`] where it cannot be read, [`TrainError::DamagedOptimizer`] where it is not whole.
    pub fn load(path: &Path) -> Result<Option<Self>, TrainError> {
        let kept = Kept::load(path, |problem| TrainError::DamagedOptimizer { path: path.to_owned(), problem })?;
        Ok(kept.map(|Kept { adapter, steps, tensors }| Self { adapter, steps, tensors }))
    }

    /// Keeps it in a file, durably.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        Kept { adapter: self.adapter, steps: self.steps, tensors: self.tensors.clone() }.save(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::train::{
        adamw::AdamW,
        penalty::testing::{champion, elsewhere},
    };

    #[test]
    fn reads_back_as_it_was_kept_and_goes_with_its_adapter_alone() {
        let (dir, parameters) = (tempfile::tempdir().unwrap(), elsewhere());
        let path = dir.path().join("optimizer-sft.safetensors");
        assert_eq!(OptimizerState::load(&path).unwrap(), None);
        let mut optimizer = AdamW::new(&parameters);
        optimizer.step = 7;
        optimizer.means.iter_mut().flatten().enumerate().for_each(|(i, mean)| *mean = i as f32 / 3.0);
        optimizer.squares.iter_mut().flatten().enumerate().for_each(|(i, square)| *square = i as f32);
        let state = optimizer.clone().into_state(&parameters, champion().fingerprint().unwrap());
        state.save(&path).unwrap();
        let found = OptimizerState::load(&path).unwrap().unwrap();
        assert_eq!(found, state);
        let again = AdamW::going_on(&parameters, Some(&found)).unwrap();
        assert_eq!((again.step, again.steps_before), (0, 7));
        assert_eq!((again.means, again.squares), (optimizer.means, optimizer.squares));
        let other = elsewhere().to_adapter().unwrap();
        assert!(found.is_of(&champion()).unwrap() && !found.is_of(&other).unwrap());
        assert!(found.kept_with(&other).unwrap().is_of(&other).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(OptimizerState::load(&path), Err(TrainError::DamagedOptimizer { .. })));
    }
}
