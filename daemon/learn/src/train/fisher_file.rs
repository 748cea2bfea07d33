use std::path::Path;

use super::{Fisher, TrainError, kept_file::Kept};

impl Fisher {
    /// What was kept in a file; `None` where there is none.
    ///
    /// # Errors
    /// [`TrainError::Io`] where it cannot be read, [`TrainError::DamagedFisher`] where it is not whole.
    pub fn load(path: &Path) -> Result<Option<Self>, TrainError> {
        let kept = Kept::load(path, |problem| TrainError::DamagedFisher { path: path.to_owned(), problem })?;
        Ok(kept.map(|Kept { adapter, tensors, .. }| Self { adapter, tensors }))
    }

    /// Keeps it in a file, durably.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        Kept { adapter: self.adapter, steps: 0, tensors: self.tensors.clone() }.save(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::train::penalty::testing::{champion, elsewhere, fisher};

    #[test]
    fn reads_back_as_it_was_kept_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fisher.safetensors");
        assert_eq!(Fisher::load(&path).unwrap(), None);
        fisher(1.0).save(&path).unwrap();
        let found = Fisher::load(&path).unwrap().unwrap();
        assert_eq!(found, fisher(1.0));
        assert!(found.is_of(&champion()).unwrap());
        let other = elsewhere().to_adapter().unwrap();
        assert!(!found.is_of(&other).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Fisher::load(&path), Err(TrainError::DamagedFisher { .. })));
    }
}
