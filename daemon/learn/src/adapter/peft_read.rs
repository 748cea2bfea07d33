use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::Path,
};

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tracing::warn;

use super::{
    Adapter, AdapterError, CONFIG_FILE, LoraConfig, Projection, Site, WEIGHTS_FILE, peft_config,
    targets::Targets,
    tensor_name::{parse_name, tensor_name},
};

/// An `adapter_config.json` is a page long; with a pattern for each module it may have more.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// All of an adapter is read at once. One of rank 512 on a model of 70 billion parameters has 13 GB in f32.
const WEIGHTS_BYTES_MAX: u64 = 16 << 30;

impl Adapter {
    /// Reads a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// [`AdapterError`], where a file is missing or damaged, or the adapter is of no known [kind](super::Kind) on linear layers.
    pub fn load_peft(dir: &Path) -> Result<Self, AdapterError> {
        let (config, targets) = read_config_and_targets(dir)?;
        let path = dir.join(WEIGHTS_FILE);
        let bytes = read(&path, WEIGHTS_BYTES_MAX)?;
        let failed = |source| AdapterError::Safetensors { path: path.clone(), source };
        let tensors = SafeTensors::deserialize(&bytes).map_err(failed)?;
        Reader { path: &path, tensors, targets }.adapter(config)
    }

    /// The shape of the adapter in a PEFT folder, from its configuration where that tells it, without reading the weights.
    ///
    /// # Errors
    /// As [`load_peft`](Self::load_peft).
    pub fn shape_of(dir: &Path) -> Result<LoraConfig, AdapterError> {
        let (config, targets) = read_config_and_targets(dir)?;
        let target_modules = targets.named_projections();
        if target_modules.is_empty() {
            return Ok(Self::load_peft(dir)?.config().clone());
        }
        Ok(LoraConfig { target_modules, ..config })
    }
}

fn read_config_and_targets(dir: &Path) -> Result<(LoraConfig, Targets), AdapterError> {
    let path = dir.join(CONFIG_FILE);
    let bytes = read(&path, CONFIG_BYTES_MAX)?;
    peft_config::parse(&path, &String::from_utf8_lossy(&bytes))
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, AdapterError> {
    let failed = |source: io::Error| AdapterError::Io { action: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(failed(io::Error::other(format!("it is longer than {bytes_max} bytes"))));
    }
    Ok(bytes)
}

struct Reader<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    targets: Targets,
}

impl Reader<'_> {
    fn adapter(&self, mut config: LoraConfig) -> Result<Adapter, AdapterError> {
        let (kind, mut found, mut left_out) = (config.kind, BTreeMap::new(), 0_usize);
        for name in self.tensors.names() {
            let at = parse_name(name, kind.delta().parts()).ok_or_else(|| {
                self.problem(
                    name,
                    format!("is not of a decoder's linear layer, in an adapter of the kind {}", kind.name()),
                )
            })?;
            if self.targets.cover(at.0, at.1) {
                found.insert(at, self.tensor(name)?);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            let path = self.path.display();
            warn!(%path, left_out, "tensors of modules that the configuration leaves out are not used, as in PEFT");
        }
        let mut sites = BTreeMap::new();
        for at in found.keys().map(|(layer, projection, _)| (*layer, *projection)).collect::<BTreeSet<_>>() {
            sites.insert(at, self.site(&config, at, &found)?);
        }
        let found: BTreeSet<Projection> = sites.keys().map(|(_, projection)| *projection).collect();
        let layers: BTreeSet<usize> = sites.keys().map(|(layer, _)| *layer).collect();
        let wanted = |projection: &Projection| layers.iter().any(|layer| self.targets.cover(*layer, *projection));
        config.target_modules = Projection::ALL.into_iter().filter(wanted).collect();
        if sites.is_empty() || config.target_modules != found {
            let problem = format!("target_modules are {:?}, but the weights have {found:?}", config.target_modules);
            return Err(AdapterError::Mismatch(problem));
        }
        Ok(Adapter::from_sites(config, sites))
    }

    fn site(
        &self,
        config: &LoraConfig,
        at: (usize, Projection),
        found: &BTreeMap<(usize, Projection, usize), Tensor>,
    ) -> Result<Site, AdapterError> {
        let kind = config.kind.delta();
        let tensor = |(place, part): (usize, &&str)| {
            let missing = || self.problem(&tensor_name(at, part), "is missing".to_owned());
            found.get(&(at.0, at.1, place)).cloned().ok_or_else(missing)
        };
        let site = Site::new(kind.parts().iter().enumerate().map(tensor).collect::<Result<_, _>>()?);
        let shapes = site.shapes();
        let fits = |(inputs, outputs)| shapes == kind.shapes(config, inputs, outputs);
        if !kind.widths(&shapes).is_some_and(fits) {
            let name = tensor_name(at, kind.parts()[0]);
            return Err(self.problem(&name, format!("and its like are not of rank {}: {shapes:?}", config.r)));
        }
        Ok(site)
    }

    fn tensor(&self, name: &str) -> Result<Tensor, AdapterError> {
        let view = self
            .tensors
            .tensor(name)
            .map_err(|source| AdapterError::Safetensors { path: self.path.to_owned(), source })?;
        let values = widen(&view).ok_or_else(|| {
            self.problem(name, format!("has the type {:?}, one of F32, F16 and BF16 was expected", view.dtype()))
        })?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.problem(name, "holds a value that is not finite".to_owned()));
        }
        Ok(Tensor::from_slice(&values, view.shape(), &Device::Cpu)?)
    }

    fn problem(&self, name: &str, problem: String) -> AdapterError {
        AdapterError::Tensor { path: self.path.to_owned(), name: name.to_owned(), problem }
    }
}

/// The values as f32.
fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::weights::tests::tiny_model;

    fn adapter() -> Adapter {
        let config = LoraConfig { r: 3, alpha: 6.0, ..LoraConfig::default() };
        let fresh = Adapter::init(&config, &tiny_model(), 1).unwrap();
        let other = Adapter::init(&config, &tiny_model(), 2).unwrap();
        // Something other than zero in B.
        let sites = fresh.sites().zip(other.sites()).map(|((at, site), (_, other))| {
            let (a, b) = (&site.tensors()[0], &site.tensors()[1]);
            let other = &other.tensors()[0];
            let (outputs, inputs) = (b.dim(0).unwrap(), other.dim(1).unwrap());
            let columns: Vec<u32> = (0..outputs).map(|i| (i % inputs) as u32).collect();
            let columns = Tensor::from_vec(columns, outputs, &Device::Cpu).unwrap();
            let b = other.index_select(&columns, 1).unwrap().t().unwrap().contiguous().unwrap();
            (at, Site::new(vec![a.clone(), b]))
        });
        Adapter::from_sites(config, sites.collect())
    }

    fn saved() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        adapter().save_peft(dir.path(), "base").unwrap();
        dir
    }

    fn rewrite(dir: &Path, keep: impl Fn(&str) -> bool, extra: Option<(&str, TensorView<'_>)>) {
        let bytes = fs::read(dir.join(WEIGHTS_FILE)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let kept = tensors.tensors().into_iter().filter(|(name, _)| keep(name));
        let all: Vec<_> = kept.chain(extra.map(|(name, view)| (name.to_owned(), view))).collect();
        fs::write(dir.join(WEIGHTS_FILE), safetensors::serialize(all, None).unwrap()).unwrap();
    }

    #[test]
    fn a_folder_round_trips_to_the_byte() {
        let dir = saved();
        let loaded = Adapter::load_peft(dir.path()).unwrap();
        assert_eq!(loaded.config(), adapter().config());
        assert_eq!(loaded.fingerprint().unwrap(), adapter().fingerprint().unwrap());
        let again = tempfile::tempdir().unwrap();
        loaded.save_peft(again.path(), "base").unwrap();
        for file in [CONFIG_FILE, WEIGHTS_FILE] {
            assert_eq!(fs::read(dir.path().join(file)).unwrap(), fs::read(again.path().join(file)).unwrap());
        }
    }

    #[test]
    fn half_precision_is_widened() {
        let dir = saved();
        let name = tensor_name((0, Projection::QProj), "lora_A.weight");
        let bytes: Vec<u8> = (0..36).flat_map(|i| bf16::from_f32(i as f32).to_le_bytes()).collect();
        rewrite(dir.path(), |n| n != name, Some((&name, TensorView::new(Dtype::BF16, vec![3, 12], &bytes).unwrap())));
        let loaded = Adapter::load_peft(dir.path()).unwrap();
        let values = loaded.get(0, Projection::QProj).unwrap().values().unwrap();
        assert_eq!(values[0], (0..36).map(|i| i as f32).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_weights_are_refused_by_name() {
        let missing = tensor_name((1, Projection::UpProj), "lora_B.weight");
        let dir = saved();
        rewrite(dir.path(), |name| name != missing, None);
        assert!(Adapter::load_peft(dir.path()).unwrap_err().to_string().contains(&missing));

        let dir = saved();
        let bytes = [0; 4];
        let view = TensorView::new(Dtype::F32, vec![1, 1], &bytes).unwrap();
        rewrite(dir.path(), |_| true, Some(("base_model.model.lm_head.lora_A.weight", view)));
        assert!(Adapter::load_peft(dir.path()).unwrap_err().to_string().contains("lm_head"));

        let dir = saved();
        let name = tensor_name((0, Projection::QProj), "lora_A.weight");
        let bytes = f32::NAN.to_le_bytes().repeat(36);
        let view = TensorView::new(Dtype::F32, vec![3, 12], &bytes).unwrap();
        rewrite(dir.path(), |n| n != name, Some((&name, view)));
        assert!(Adapter::load_peft(dir.path()).unwrap_err().to_string().contains("not finite"));

        let dir = saved();
        let bytes = [0; 4 * 36];
        let view = TensorView::new(Dtype::F32, vec![4, 9], &bytes).unwrap();
        rewrite(dir.path(), |n| n != name, Some((&name, view)));
        assert!(Adapter::load_peft(dir.path()).unwrap_err().to_string().contains("rank 3"));

        let dir = saved();
        let whole = fs::read(dir.path().join(WEIGHTS_FILE)).unwrap();
        fs::write(dir.path().join(WEIGHTS_FILE), &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(Adapter::load_peft(dir.path()), Err(AdapterError::Safetensors { .. })));
        fs::remove_file(dir.path().join(WEIGHTS_FILE)).unwrap();
        assert!(matches!(Adapter::load_peft(dir.path()), Err(AdapterError::Io { .. })));
    }
}
