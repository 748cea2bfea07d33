use std::{
    fs::{self, File, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use blake3::Hasher;
use perennial_durable::write_durably;
use perennial_kernels::{Precision, WeightBytes};
use perennial_types::{Fingerprint, Fingerprinter};
use rayon::prelude::*;
use tracing::warn;

use super::{
    ModelError, export,
    loaded::{Loaded, Tensors},
    safetensors,
};

/// Weights that had to be converted, in the form that is read as it lies, and the fingerprints of weight files: so that a
/// model that was loaded before is there at once. Without a folder nothing is remembered.
pub(super) struct WeightCache<'a>(Option<&'a Path>);

impl<'a> WeightCache<'a> {
    pub(super) fn new(folder: Option<&'a Path>) -> Self {
        Self(folder)
    }

    /// The weights of a model in these files, and its fingerprint. `read` reads and converts them; where it has nothing to
    /// convert, `in_place`, they are not kept a second time.
    pub(super) fn load(
        &self,
        files: &[PathBuf],
        precision: Precision,
        in_place: bool,
        read: impl FnOnce() -> Result<Tensors, ModelError> + Send,
    ) -> Result<(Tensors, Fingerprint), ModelError> {
        let Some(folder) = self.0.filter(|_| !in_place) else {
            let (tensors, fingerprint) = rayon::join(read, || self.fingerprint(files));
            let mut tensors = tensors?;
            if !in_place {
                gather(&mut tensors);
            }
            return Ok((tensors, fingerprint?));
        };
        let fingerprint = self.fingerprint(files)?;
        let file = folder.join(format!("{fingerprint}-{}.safetensors", precision.as_str()));
        if file.is_file() {
            match safetensors::read(std::slice::from_ref(&file), precision) {
                Ok(tensors) => return Ok((tensors, fingerprint)),
                Err(error) => warn!(%error, "kept weights cannot be used and are made again"),
            }
        }
        let mut tensors = read()?;
        let kept = export::write_weights(&file, &tensors)
            .and_then(|()| safetensors::read(std::slice::from_ref(&file), precision));
        match kept {
            Ok(tensors) => Ok((tensors, fingerprint)),
            Err(error) => {
                warn!(%error, "converted weights cannot be kept: they are converted again the next time");
                gather(&mut tensors);
                Ok((tensors, fingerprint))
            }
        }
    }

    /// blake3 of a single weight file, exactly what `b3sum` prints; of several, the fingerprint of theirs in order.
    pub(super) fn fingerprint(&self, files: &[PathBuf]) -> Result<Fingerprint, ModelError> {
        let each = files.par_iter().map(|file| self.fingerprint_of(file)).collect::<Result<Vec<_>, ModelError>>()?;
        if let [single] = each.as_slice() {
            return Ok(*single);
        }
        let mut all = Fingerprinter::new();
        each.iter().for_each(|file| all.add(file.as_bytes()));
        Ok(all.finish())
    }

    fn fingerprint_of(&self, path: &Path) -> Result<Fingerprint, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        let known = match self.0 {
            Some(folder) => Some(folder.join(known_as(&file.metadata().map_err(ModelError::io(path))?))),
            None => None,
        };
        let remembered = known.as_ref().and_then(|known| fs::read_to_string(known).ok()?.trim().parse().ok());
        if let Some(fingerprint) = remembered {
            return Ok(fingerprint);
        }
        let mut hasher = Hasher::new();
        hasher.update_reader(file).map_err(ModelError::io(path))?;
        let fingerprint = Fingerprint::from_bytes(*hasher.finalize().as_bytes());
        if let Some(known) = known {
            let kept = write_durably(&known, format!("{fingerprint}\n").as_bytes());
            if let Err(error) = kept {
                warn!(%error, "a fingerprint cannot be kept: it is computed again the next time");
            }
        }
        Ok(fingerprint)
    }
}

fn gather(tensors: &mut Tensors) {
    let weights = tensors.values_mut().filter_map(|tensor| match tensor {
        Loaded::Matrix(weight) => Some(weight),
        Loaded::Vector(_) => None,
    });
    if let Err(error) = WeightBytes::gather(weights) {
        warn!(%error, "weights stay where they are, where reading them is slower");
    }
}

/// The name under which a file's fingerprint is kept. As for git's index, a file with the same inode, length and times of
/// change, to the nanosecond, is the same.
fn known_as(file: &Metadata) -> String {
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()].map(i64::to_le_bytes);
    let identity = [file.dev(), file.ino(), file.len()].map(u64::to_le_bytes);
    let mut fingerprint = Fingerprinter::new();
    times.iter().chain(&identity).for_each(|value| fingerprint.add(value));
    format!("{}.fingerprint", fingerprint.finish())
}
