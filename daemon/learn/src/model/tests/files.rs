use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use candle_core::{DType, Tensor};
use perennial_kernels::Precision;
use rstest::rstest;

use super::{TOKENS, assert_close, packed_logits};
use crate::model::{
    Architecture, Attention, Model, Rows, Workspace,
    testing::{random_tensors, tiny_config, tiny_model},
};

#[rstest]
fn an_exported_model_reads_back_the_same(
    #[values(
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::SmolLm3
    )]
    architecture: Architecture,
) {
    let model = tiny_model(architecture);
    let folder = tempfile::tempdir().unwrap();
    model.export_hf(folder.path()).unwrap();
    let back = Model::load(folder.path(), Precision::F32).unwrap();
    assert_eq!(back.config, model.config);
    assert_eq!(back.template.source(), model.template.source());
    assert_eq!(back.tokenizer.end_tokens(), model.tokenizer.end_tokens());
    assert_eq!(packed_logits(&back, &[&TOKENS]), packed_logits(&model, &[&TOKENS]));
    let file = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(back.fingerprint, perennial_types::Fingerprint::of(&file));
}

#[test]
fn shards_and_half_precision_are_read() {
    let config = tiny_config(Architecture::Llama);
    let model = tiny_model(Architecture::Llama);
    let folder = tempfile::tempdir().unwrap();
    model.export_hf(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut weight_map = BTreeMap::new();
    for (number, dtype) in [DType::BF16, DType::F16, DType::F32].into_iter().enumerate() {
        let file = format!("model-{number}.safetensors");
        let shard: BTreeMap<String, Tensor> = random_tensors(&config)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| index % 3 == number)
            .map(|(_, (name, tensor))| (name, tensor.to_dtype(dtype).unwrap()))
            .collect();
        weight_map.extend(shard.keys().map(|name| (name.clone(), file.clone())));
        let shard: HashMap<String, Tensor> = shard.into_iter().collect();
        candle_core::safetensors::save(&shard, folder.path().join(file)).unwrap();
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": weight_map }).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let back = Model::load(folder.path(), Precision::F32).unwrap();
    assert_close(&packed_logits(&back, &[&TOKENS]), &packed_logits(&model, &[&TOKENS]), 0.02);

    std::fs::write(folder.path().join("model-1.safetensors"), [9; 100]).unwrap();
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("model-1.safetensors: not a safetensors file, or cut short"), "{error}");
}

#[test]
fn converted_weights_are_kept_and_mapped_the_next_time() {
    let (model, cache) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/tiny"), tempfile::tempdir().unwrap());
    let load = || Model::load_cached(&model, Precision::F32, cache.path()).unwrap();
    let rows = Rows::packed(&[[5, 6, 7]]);
    let hidden = |model: &Model| {
        let attention = Attention::Packed(&rows.1);
        model.decoder.hidden(&rows.0, attention, None, &mut Workspace::default()).unwrap()
    };
    let converted = Model::load(&model, Precision::F32).unwrap();
    assert_eq!(hidden(&load()), hidden(&converted));
    assert_eq!(load().fingerprint, converted.fingerprint);
    let kept = cache.path().join(format!("{}-f32.safetensors", converted.fingerprint));
    let whole = std::fs::read(&kept).unwrap();

    let mut changed = whole.clone();
    changed[whole.len() / 2..].fill(0);
    let replace = |bytes: &[u8]| {
        std::fs::write(kept.with_extension("new"), bytes).unwrap();
        std::fs::rename(kept.with_extension("new"), &kept).unwrap();
    };
    replace(&changed);
    assert_ne!(hidden(&load()), hidden(&converted), "what is kept is what is used");
    replace(&whole[..whole.len() / 2]);
    assert_eq!(hidden(&load()), hidden(&converted), "what is broken is made again");
    assert_eq!(std::fs::read(&kept).unwrap(), whole);
    // In the precision that they are stored in, they stay where they are.
    Model::load_cached(&model, Precision::Bf16, cache.path()).unwrap();
    assert!(!kept.with_file_name(format!("{}-bf16.safetensors", converted.fingerprint)).exists());
}
