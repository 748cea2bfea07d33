use std::{
    fs, io,
    path::{Path, PathBuf},
};

use perennial_durable::{create_folder_durably, parent, rename_durably};

use super::{Dtype, ExportError, Format};
use crate::{
    adapter::Adapter,
    model::{BaseFiles, ModelConfig},
};

/// What is to be exported.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The adapter's folder, in PEFT's format.
    pub adapter: &'a Path,
    /// Its base model: a Hugging Face folder or a GGUF file.
    pub base: &'a Path,
    /// What numbers are stored as; the form's own choice where it is `None`.
    pub dtype: Option<Dtype>,
    /// What it is called, in forms that say so.
    pub name: &'a str,
}

/// A job whose adapter is in memory, and fits the base model.
pub(crate) struct Opened<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) adapter: Adapter,
    /// The base model's shape.
    pub(crate) config: ModelConfig,
}

impl Opened<'_> {
    /// The base model's files, for forms that hold it.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn base(&self) -> Result<BaseFiles, ExportError> {
        Ok(BaseFiles::open(self.job.base)?)
    }
}

impl Format {
    /// Writes an adapter in this form to `out`, which must not be there yet; an empty folder may be. After a crash it is there whole
    /// or not at all. Blocks for as long as reading and writing take.
    ///
    /// # Errors
    /// [`ExportError`]; nothing is left at `out` then.
    pub fn export(self, job: &Job<'_>, out: &Path) -> Result<(), ExportError> {
        self.check_dtype(job.dtype)?;
        let adapter = Adapter::load_peft(job.adapter)?;
        let config = ModelConfig::read(job.base)?;
        adapter.check_fits(&config)?;
        let opened = Opened { job: *job, adapter, config };
        let is_empty_folder = || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
        if fs::symlink_metadata(out).is_ok() && (self.is_file() || !is_empty_folder()) {
            return Err(ExportError::Exists(out.to_owned()));
        }
        if self.is_file() {
            return self.0.write(&opened, out);
        }
        let unfinished = unfinished(out);
        remove(&unfinished)?;
        create_folder_durably(&unfinished)?;
        match self.0.write(&opened, &unfinished).and_then(|()| Ok(rename_durably(&unfinished, out)?)) {
            Ok(()) => Ok(()),
            Err(error) => {
                remove(&unfinished)?;
                Err(error)
            }
        }
    }

    fn check_dtype(self, dtype: Option<Dtype>) -> Result<(), ExportError> {
        let possible = self.0.dtypes();
        let Some(dtype) = dtype.filter(|dtype| !possible.contains(dtype)) else { return Ok(()) };
        let choice = match possible {
            [] => "its numbers stay as they are".to_owned(),
            several => {
                format!("possible are {}", several.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", "))
            }
        };
        Err(ExportError::Dtype { format: self.name(), dtype: dtype.as_str(), choice })
    }
}

/// Where a folder is put together, beside its place.
fn unfinished(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    parent(out).join(format!(".{name}.tmp"))
}

fn remove(folder: &Path) -> Result<(), ExportError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(crate::model::ModelError::Io { path: folder.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}
