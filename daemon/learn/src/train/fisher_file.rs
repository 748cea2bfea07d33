use std::{fs, io, path::Path};

use perennial_durable::write_durably;

use super::{
    Fisher, TrainError,
    checkpoint_file::{Header, Tensors, content_of, parse_file, serialize, tensor_bytes},
    penalty::Information,
};

impl Fisher {
    /// What was kept in a file; `None` where there is none.
    ///
    /// # Errors
    /// [`TrainError::Io`] where it cannot be read, [`TrainError::DamagedFisher`] where it is not whole.
    pub fn load(path: &Path) -> Result<Option<Self>, TrainError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TrainError::Io { action: "read", path: path.to_owned(), source }),
        };
        let damaged = |problem: String| TrainError::DamagedFisher { path: path.to_owned(), problem };
        let (header, found) = parse_file(&bytes).map_err(damaged)?;
        let mut tensors: Vec<Information> = found
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let numbers = view.data().as_chunks().0.iter();
                let values = numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect();
                Information { name, shape: view.shape().to_vec(), values }
            })
            .collect();
        tensors.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(Self { adapter: header.run, tensors }))
    }

    /// Keeps it in a file, durably.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensors: Tensors =
            self.tensors.iter().map(|of| (of.name.clone(), of.shape.clone(), bytes(&of.values))).collect();
        let header =
            Header { run: self.adapter, step: 0, drawn: 0, watch: None, content: content_of(tensor_bytes(&tensors)) };
        let bytes = serialize(&tensors, &header).map_err(TrainError::Checkpoint)?;
        Ok(write_durably(path, &bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::penalty::testing::{champion, elsewhere};

    fn fisher(factor: f32) -> Fisher {
        let parameters = elsewhere();
        let values: Vec<Vec<f32>> = parameters
            .values()
            .iter()
            .map(|values| values.iter().map(|value| value * value * factor).collect())
            .collect();
        Fisher::new(&parameters.with(&values), champion().fingerprint().unwrap())
    }

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
