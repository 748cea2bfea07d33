use std::{collections::HashMap, path::Path};

use perennial_durable::{sweep_temporary, write_durably};
use safetensors::{Dtype, tensor::TensorView};

use super::{Adapter, AdapterError, CONFIG_FILE, WEIGHTS_FILE, peft_config, tensor_name};

impl Adapter {
    /// Writes a PEFT folder, durably; `base_name` is the base model as PEFT will look it up. Files that are there are
    /// replaced one by one.
    ///
    /// # Errors
    /// [`AdapterError::Io`]
    pub fn save_peft(&self, dir: &Path, base_name: &str) -> Result<(), AdapterError> {
        let weights = serialize(self)?;
        let mut config = serde_json::to_vec_pretty(&peft_config::to_json(self.config(), base_name))
            .map_err(|source| AdapterError::Config { path: dir.join(CONFIG_FILE), source })?;
        config.push(b'\n');
        // What a crash left here would be taken for a part of the adapter.
        sweep_temporary(dir)?;
        write_durably(&dir.join(WEIGHTS_FILE), &weights)?;
        Ok(write_durably(&dir.join(CONFIG_FILE), &config)?)
    }
}

/// The bytes of the weights file: the same for the same adapter.
fn serialize(adapter: &Adapter) -> Result<Vec<u8>, AdapterError> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (at, site) in adapter.sites() {
        for ((part, tensor), values) in adapter.parts().iter().zip(site.tensors()).zip(site.values()?) {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((tensor_name(at, part), tensor.dims().to_vec(), bytes));
        }
    }
    let failed = |source| AdapterError::Safetensors { path: WEIGHTS_FILE.into(), source };
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}
