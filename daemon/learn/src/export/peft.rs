use std::{fs::File, io, path::Path};

use perennial_durable::DurableFile;

use super::{Dtype, ExportError, FormatKind, Opened};
use crate::{
    adapter::{CONFIG_FILE, WEIGHTS_FILE},
    model::ModelError,
};

/// PEFT's folder, as it lies with the adapters.
pub(super) struct Peft;

impl FormatKind for Peft {
    fn name(&self) -> &'static str {
        "peft"
    }

    fn about(&self) -> &'static str {
        "A folder of PEFT's, which transformers, vLLM and others load"
    }

    fn is_file(&self) -> bool {
        false
    }

    fn dtypes(&self) -> &'static [Dtype] {
        &[]
    }

    fn write(&self, opened: &Opened<'_>, out: &Path) -> Result<(), ExportError> {
        for name in [WEIGHTS_FILE, CONFIG_FILE] {
            let from = opened.job.adapter.join(name);
            let mut to = DurableFile::create(out)?;
            let mut file = File::open(&from).map_err(ModelError::io(&from))?;
            io::copy(&mut file, &mut to).map_err(ModelError::io(&from))?;
            to.commit(&out.join(name))?;
        }
        Ok(())
    }
}
