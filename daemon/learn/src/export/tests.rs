use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, gguf_file},
};
use perennial_kernels::Precision;
use rstest::rstest;
use safetensors::SafeTensors;
use serde_json::Value;

use super::*;
use crate::{
    adapter::{Adapter, Kind, LoraConfig, Projection},
    model::{
        Architecture, Attention, Model, Rows, Workspace,
        testing::{moved, tiny_model},
    },
};

const TOKENS: [u32; 9] = [5, 17, 200, 3, 3, 90, 61, 7, 250];

/// A model of this architecture in a Hugging Face folder, and an adapter for it that changes something.
struct Fixture {
    folder: tempfile::TempDir,
    adapter: Adapter,
}

impl Fixture {
    fn new(architecture: Architecture, lora: &LoraConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny_model(architecture);
        model.export_hf(&folder.path().join("base")).unwrap();
        let fresh = Adapter::init(lora, &model, 5).unwrap();
        fresh.save_peft(&folder.path().join("fresh"), "base").unwrap();
        let adapter = moved(&fresh);
        adapter.save_peft(&folder.path().join("adapter"), "base").unwrap();
        Self { folder, adapter }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, format: &str, job: [&str; 2], dtype: Option<Dtype>, out: &str) -> Result<PathBuf, ExportError> {
        let ([adapter, base], out) = (job.map(|name| self.path(name)), self.path(out));
        let job = Job { adapter: &adapter, base: &base, dtype, name: "tiny" };
        Format::named(format).unwrap().export(&job, &out).map(|()| out)
    }

    /// What the model at a path says after the tokens, with the adapter or alone.
    fn logits(&self, base: &Path, with_adapter: bool) -> Vec<f32> {
        let model = Model::load(base, Precision::F32).unwrap();
        let adapter = with_adapter.then(|| self.adapter.to_weights(&model.decoder).unwrap());
        let (rows, cu_seqlens) = Rows::packed(&[&TOKENS]);
        let (attention, workspace) = (Attention::Packed(&cu_seqlens), &mut Workspace::default());
        let hidden = model.decoder.hidden(&rows, attention, adapter.as_ref(), workspace).unwrap();
        model.decoder.logits(&hidden, workspace).rows().flatten().copied().collect()
    }
}

fn assert_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    let scale = theirs.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    let furthest = ours.iter().zip(theirs).fold(0.0_f32, |max, (ours, theirs)| max.max((ours - theirs).abs()));
    assert!(ours.len() == theirs.len() && furthest <= tolerance * scale, "{furthest} of {scale}");
}

fn lora(kind: Kind) -> LoraConfig {
    LoraConfig { r: 3, alpha: 5.0, use_rslora: true, kind, ..LoraConfig::default() }
}

/// The tensors of a GGUF file in f32, and its metadata.
fn read_gguf(path: &Path) -> (BTreeMap<String, gguf_file::Value>, BTreeMap<String, (Tensor, GgmlDType)>) {
    let read = || gguf_file::Content::read(&mut File::open(path).unwrap()).unwrap();
    let dtypes: BTreeMap<String, GgmlDType> =
        read().tensor_infos.into_iter().map(|(name, info)| (name, info.ggml_dtype)).collect();
    let (content, mut file) = (read(), File::open(path).unwrap());
    let tensors = dtypes.into_iter().map(|(name, dtype)| {
        let tensor = content.tensor(&mut file, &name, &Device::Cpu).unwrap();
        (name, (tensor.dequantize(&Device::Cpu).unwrap(), dtype))
    });
    let tensors = tensors.collect();
    (content.metadata.into_iter().collect(), tensors)
}

#[rstest]
fn merged_models_say_what_the_base_model_says_with_the_adapter(
    #[values(
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::SmolLm3
    )]
    architecture: Architecture,
    #[values(Kind::LORA, Kind::DORA)] kind: Kind,
) {
    let fixture = Fixture::new(architecture, &lora(kind));
    let base = fixture.path("base");
    let (wanted, alone) = (fixture.logits(&base, true), fixture.logits(&base, false));
    let safetensors = fixture.export("merged-safetensors", ["adapter", "base"], None, "merged").unwrap();
    assert_close(&fixture.logits(&safetensors, false), &wanted, 1e-5);
    let gguf = fixture.export("merged-gguf", ["adapter", "base"], None, "merged.gguf").unwrap();
    assert_close(&fixture.logits(&gguf, false), &wanted, 1e-5);
    assert!(wanted.iter().zip(&alone).any(|(one, other)| (one - other).abs() > 1e-2));

    // A base that is a GGUF file, once more with the adapter.
    let again = fixture.export("merged-gguf", ["adapter", "merged.gguf"], None, "again.gguf").unwrap();
    let as_folder = fixture.export("merged-safetensors", ["adapter", "merged.gguf"], None, "again").unwrap();
    let wanted = fixture.logits(&gguf, true);
    assert_close(&fixture.logits(&again, false), &wanted, 1e-5);
    assert_close(&fixture.logits(&as_folder, false), &wanted, 1e-5);

    let texts = |path: &Path| {
        let model = Model::load(path, Precision::F32).unwrap();
        (model.tokenizer.encode("he<|im_end|> said: 12\n").unwrap(), model.tokenizer.end_tokens().to_vec())
    };
    assert!([safetensors, gguf, again, as_folder].iter().all(|path| texts(path) == texts(&base)));
}

#[test]
fn a_gguf_lora_is_the_difference_of_the_gguf_files_it_is_for() {
    for architecture in [Architecture::Llama, Architecture::Qwen2] {
        let fixture = Fixture::new(architecture, &lora(Kind::LORA));
        let file = fixture.export("gguf", ["adapter", "base"], None, "lora.gguf").unwrap();
        let merged = fixture.export("merged-gguf", ["adapter", "base"], None, "merged.gguf").unwrap();
        let base = fixture.export("merged-gguf", ["fresh", "base"], None, "base.gguf").unwrap();
        let ((metadata, of_lora), (_, of_base), (_, of_merged)) =
            (read_gguf(&file), read_gguf(&base), read_gguf(&merged));
        let text = |key: &str| metadata[key].to_string().unwrap().clone();
        assert_eq!(
            [text("general.type"), text("general.architecture"), text("adapter.type")],
            ["adapter".to_owned(), architecture.model_type().to_owned(), "lora".to_owned()]
        );
        // What llama.cpp computes with: alpha by the rank, which is that of rsLoRA by its root.
        let alpha = f64::from(metadata["adapter.lora.alpha"].to_f32().unwrap());
        assert!((alpha / 3.0 - 5.0 / 3_f64.sqrt()).abs() < 1e-6);
        assert_eq!(of_lora.len(), 2 * 7 * 4);
        for layer in 0..4 {
            for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
                let name = format!("blk.{layer}.{part}.weight");
                let [a, b] = ["lora_a", "lora_b"].map(|end| of_lora[&format!("{name}.{end}")].0.clone());
                let added = (b.matmul(&a).unwrap() * (alpha / 3.0)).unwrap();
                let difference = (&of_merged[&name].0 - &of_base[&name].0).unwrap();
                let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_close(&values(&added), &values(&difference), 1e-4);
            }
        }
    }
}

#[test]
fn what_an_adapter_leaves_alone_stays_as_it_lies_in_a_quantised_base() {
    let target_modules = [Projection::QProj].into();
    let fixture = Fixture::new(Architecture::Llama, &LoraConfig { target_modules, ..lora(Kind::LORA) });
    let base = fixture.export("merged-gguf", ["fresh", "base"], Some(Dtype::Q8_0), "base.gguf").unwrap();
    let (metadata, of_base) = read_gguf(&base);
    assert_eq!(metadata["general.file_type"].to_u32().unwrap(), 7);
    let dtype = |name: &str| of_base[name].1;
    assert_eq!([dtype("blk.0.ffn_up.weight"), dtype("token_embd.weight")], [GgmlDType::Q8_0; 2]);
    // Its rows are no whole blocks.
    assert_eq!([dtype("blk.0.ffn_down.weight"), dtype("blk.0.ffn_norm.weight")], [GgmlDType::F16, GgmlDType::F32]);
    let merged = fixture.export("merged-gguf", ["adapter", "base.gguf"], None, "merged.gguf").unwrap();
    let (_, of_merged) = read_gguf(&merged);
    for (name, (_, dtype)) in &of_base {
        let wanted = if name.contains("attn_q.") { GgmlDType::F32 } else { *dtype };
        assert_eq!(of_merged[name].1, wanted, "{name}");
    }
    assert_close(&fixture.logits(&merged, false), &fixture.logits(&base, true), 1e-5);
    let smaller = fixture.export("merged-gguf", ["adapter", "base.gguf"], Some(Dtype::Bf16), "smaller.gguf").unwrap();
    for (name, (tensor, dtype)) in read_gguf(&smaller).1 {
        let wanted = if tensor.rank() > 1 { GgmlDType::BF16 } else { GgmlDType::F32 };
        assert_eq!(dtype, wanted, "{name}");
    }
}

#[test]
fn mlx_has_its_own_names_and_matrices_the_other_way_round() {
    for (kind, parts) in [(Kind::LORA, 2), (Kind::DORA, 3)] {
        let fixture = Fixture::new(Architecture::Llama, &lora(kind));
        let folder = fixture.export("mlx", ["adapter", "base"], None, "mlx").unwrap();
        let bytes = fs::read(folder.join("adapters.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.len(), parts * 7 * 4);
        let shape =
            |part: &str| tensors.tensor(&format!("model.layers.1.mlp.up_proj.{part}")).unwrap().shape().to_vec();
        assert_eq!((shape("lora_a"), shape("lora_b")), (vec![32, 3], vec![3, 48]));
        let site = fixture.adapter.get(1, Projection::UpProj).unwrap().values().unwrap();
        let a = tensors.tensor("model.layers.1.mlp.up_proj.lora_a").unwrap();
        let second = f32::from_le_bytes(a.data()[4..8].try_into().unwrap());
        assert_eq!(second, site[0][32], "the second number of a row is the first of the second row");
        let config: Value = serde_json::from_slice(&fs::read(folder.join("adapter_config.json")).unwrap()).unwrap();
        assert_eq!(config["fine_tune_type"], kind.name());
        assert_eq!((&config["num_layers"], &config["lora_parameters"]["rank"]), (&4.into(), &3.into()));
        assert!((config["lora_parameters"]["scale"].as_f64().unwrap() - 5.0 / 3_f64.sqrt()).abs() < 1e-6);
        let keys = config["lora_parameters"]["keys"].as_array().unwrap();
        assert!(keys.len() == 7 && keys.contains(&"self_attn.q_proj".into()) && keys.contains(&"mlp.down_proj".into()));
    }
}

#[test]
fn peft_is_copied_to_the_byte_and_nothing_is_put_over_what_is_there() {
    let fixture = Fixture::new(Architecture::Llama, &lora(Kind::DORA));
    fs::create_dir(fixture.path("peft")).unwrap();
    let folder = fixture.export("peft", ["adapter", "base"], None, "peft").unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        assert_eq!(fs::read(folder.join(name)).unwrap(), fs::read(fixture.path("adapter").join(name)).unwrap());
    }
    let again = fixture.export("peft", ["adapter", "base"], None, "peft").unwrap_err();
    assert!(matches!(again, ExportError::Exists(_)), "{again}");
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(names(fixture.folder.path()), 4, "nothing unfinished is left");
}

#[test]
fn what_a_form_cannot_carry_is_refused_by_name_and_leaves_nothing() {
    let fixture = Fixture::new(Architecture::Llama, &lora(Kind::DORA));
    let refused =
        |format: &str, dtype| fixture.export(format, ["adapter", "base"], dtype, "out").unwrap_err().to_string();
    let dora = refused("gguf", None);
    assert!(dora.contains("adapters of the kind dora") && dora.contains("merged-gguf"), "{dora}");
    assert!(refused("mlx", Some(Dtype::F16)).contains("mlx is not written as f16"));
    let settings = fixture.path("base/tokenizer.json");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("\"add_prefix_space\":false", "\"add_prefix_space\":true")).unwrap();
    let tokenizer = refused("merged-gguf", None);
    assert!(tokenizer.contains("way of cutting words") && tokenizer.contains("merged-safetensors"), "{tokenizer}");
    let config = fixture.path("base/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let scaling = r#""rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}"#;
    fs::write(&config, text.replace("\"rope_scaling\": null", scaling)).unwrap();
    assert!(refused("merged-gguf", None).contains("YaRN"));
    assert!(!fixture.path("out").exists());
}

#[test]
fn no_two_forms_have_one_name() {
    for (at, format) in Format::ALL.into_iter().enumerate() {
        assert_eq!(Format::ALL.iter().position(|other| *other == format), Some(at));
        assert_eq!(Format::named(format.name()), Some(format));
    }
    assert!(Dtype::ALL.into_iter().all(|dtype| Dtype::named(dtype.as_str()) == Some(dtype)));
}
