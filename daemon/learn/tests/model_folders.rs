//! Changed copies of the tiny model and its adapter against what transformers and PEFT make of the same copies (see
//! `model_folders.json` in tests/goldens/README.md), and against embedding tables that are too small for them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes the helpers of a test file for no tests"
)]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::goldens;
use perennial_learn::{
    adapter::Adapter,
    compute::Precision,
    model::{Attention, Model, Rows, Workspace},
    tokenize::{EncodeError, TokenizerError},
};
use perennial_types::{Message, Row};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

const TOLERANCE: f32 = 2e-5;
/// Rows that the tokenizer cases' embeddings get, so that no token is beyond them.
const ROWS: usize = 776;

#[derive(Deserialize)]
struct Golden {
    tokens: Vec<u32>,
    kept: Vec<usize>,
    texts: Vec<String>,
    chat: Vec<Message>,
    tools: Value,
    models: Vec<Case>,
    tokenizers: Vec<Case>,
    adapters: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    tokenizer_config: Map<String, Value>,
    #[serde(default)]
    files: BTreeMap<String, Value>,
    #[serde(default)]
    tensors: Vec<Filled>,
    #[serde(default)]
    without_tensors: Vec<String>,
    #[serde(default)]
    adapter_config: Map<String, Value>,
    #[serde(default)]
    logits: Vec<f32>,
    #[serde(default)]
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    ids_with_special: Vec<Vec<u32>>,
    eos: Option<String>,
    pad: Option<String>,
    rendered: Option<String>,
    rendered_with_tools: Option<String>,
}

#[derive(Deserialize)]
struct Filled {
    name: String,
    shape: Vec<usize>,
    base: i32,
}

impl Filled {
    fn bytes(&self) -> Vec<u8> {
        let (count, seed) = (self.shape.iter().product::<usize>(), self.name.bytes().map(usize::from).sum::<usize>());
        let value = |at: usize| self.base as f32 + (((at * 7 + seed * 13) % 17) as f32 - 8.0) / 64.0;
        (0..count).flat_map(|at| value(at).to_le_bytes()).collect()
    }
}

fn golden() -> Golden {
    serde_json::from_slice(&fs::read(goldens().join("model_folders.json")).unwrap()).unwrap()
}

fn change(file: &Path, values: &Map<String, Value>, without: &[String]) {
    let mut all: Map<String, Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    all.retain(|key, _| !without.contains(key));
    all.extend(values.clone());
    fs::write(file, Value::Object(all).to_string()).unwrap();
}

fn copy(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

fn folder_of(case: &Case) -> TempDir {
    let folder = copy(&goldens().join("tiny"));
    change(&folder.path().join("config.json"), &case.config, &case.without);
    change(&folder.path().join("tokenizer_config.json"), &case.tokenizer_config, &[]);
    for (name, content) in &case.files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.as_str().map_or_else(|| content.to_string(), str::to_owned)).unwrap();
    }
    if !case.tensors.is_empty() {
        let tensors: Vec<_> =
            case.tensors.iter().map(|t| (t.name.clone(), Dtype::F32, t.shape.clone(), t.bytes())).collect();
        rewrite(folder.path(), tensors, &case.without_tensors);
    }
    folder
}

fn rewrite(folder: &Path, more: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>, without: &[String]) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let kept = stored.iter().filter(|(name, _)| !without.iter().any(|out| out == name));
    let mut all: BTreeMap<String, TensorView<'_>> = kept.map(|(name, view)| (name.to_owned(), view)).collect();
    for (name, dtype, shape, bytes) in &more {
        all.insert(name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap());
    }
    fs::write(path, safetensors::serialize(all, None).unwrap()).unwrap();
}

fn load(folder: &Path) -> Model {
    Model::load(folder, Precision::F32).unwrap_or_else(|error| panic!("{error}"))
}

fn check_logits(name: &str, model: &Model, adapter: Option<&Adapter>, golden: &Golden, expected: &[f32]) {
    let (rows, cu_seqlens) = Rows::packed(&[&golden.tokens]);
    let lora = adapter.map(|adapter| adapter.to_weights(&model.decoder).unwrap());
    let mut workspace = Workspace::default();
    let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), lora.as_ref(), &mut workspace).unwrap();
    let logits = model.decoder.logits(&hidden, &mut workspace);
    let last = logits.rows().last().unwrap();
    let scale = expected.iter().fold(0.0_f32, |max, logit| max.max(logit.abs()));
    for (at, expected) in golden.kept.iter().zip(expected) {
        assert!((last[*at] - expected).abs() <= TOLERANCE * scale, "{name}: {} is not {expected}", last[*at]);
    }
}

#[test]
fn a_models_folder_means_what_it_means_to_transformers() {
    let golden = golden();
    for case in &golden.models {
        check_logits(&case.name, &load(folder_of(case).path()), None, &golden, &case.logits);
    }
}

#[test]
fn an_adapters_folder_means_what_it_means_to_peft() {
    let golden = golden();
    let model = load(&goldens().join("tiny"));
    for case in &golden.adapters {
        let folder = copy(&goldens().join("adapter_tiny"));
        change(&folder.path().join("adapter_config.json"), &case.adapter_config, &[]);
        let adapter = Adapter::load_peft(folder.path()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        check_logits(&case.name, &model, Some(&adapter), &golden, &case.logits);

        // What is written is the same adapter to PEFT, and so to us.
        let again = tempfile::tempdir().unwrap();
        adapter.save_peft(again.path(), "tiny").unwrap();
        check_logits(&case.name, &model, Some(&Adapter::load_peft(again.path()).unwrap()), &golden, &case.logits);
    }
}

#[test]
fn a_tokenizers_folder_means_what_it_means_to_transformers() {
    let golden = golden();
    for case in &golden.tokenizers {
        let name = &case.name;
        let folder = folder_of(case);
        let rows = Map::from_iter([("vocab_size".to_owned(), ROWS.into())]);
        change(&folder.path().join("config.json"), &rows, &[]);
        let embeddings = Filled { name: "model.embed_tokens.weight".to_owned(), shape: vec![ROWS, 128], base: 0 };
        rewrite(folder.path(), vec![(embeddings.name.clone(), Dtype::F32, vec![ROWS, 128], embeddings.bytes())], &[]);
        let Model { tokenizer, template, .. } = load(folder.path());
        for ((text, ids), with_special) in golden.texts.iter().zip(&case.ids).zip(&case.ids_with_special) {
            assert_eq!(tokenizer.encode_rendered(text).unwrap(), *ids, "{name}: {text:?}");
            assert_eq!(tokenizer.encode(text).unwrap(), *with_special, "{name}: {text:?}");
        }
        assert_eq!((&tokenizer.special().eos, &tokenizer.special().pad), (&case.eos, &case.pad), "{name}");
        assert_eq!(template.render(&golden.chat, None, false).ok(), case.rendered, "{name}");
        let with_tools = template.render(&golden.chat, Some(&golden.tools), false).ok();
        assert_eq!(with_tools, case.rendered_with_tools, "{name}");
    }
}

#[test]
fn the_token_that_closes_a_turn_ends_a_generation_whatever_the_eos_is() {
    let golden = golden();
    let case = golden.tokenizers.iter().find(|case| case.name == "eos is another token").unwrap();
    let folder = folder_of(case);
    for file in ["config.json", "generation_config.json"] {
        change(&folder.path().join(file), &Map::from_iter([("eos_token_id".to_owned(), 0.into())]), &[]);
    }
    let model = load(folder.path());
    assert_eq!(model.tokenizer.end_tokens(), [0, 2]);
    let ends: Vec<String> = model.tokenizer.ends().iter().map(ToString::to_string).collect();
    assert_eq!(ends[1], "<|im_end|> (closes the chat template's assistant turns)");
    let of = |model: &Model| {
        let row = r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
            {"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]}"#;
        model.encode(&Row::parse(row).unwrap().body, 100).unwrap().supervised
    };
    assert_eq!(of(&model), of(&load(&goldens().join("tiny"))));
}

#[test]
fn tokens_without_a_row_are_named_and_refuse_only_the_texts_that_hold_them() {
    let golden = golden();
    let case = golden.tokenizers.iter().find(|case| case.name == "extra_special_tokens in a list").unwrap();
    let model = load(folder_of(case).path());
    let named = [(768, "<|ticket|>".to_owned()), (769, "<|note|>".to_owned())];
    assert_eq!(model.tokenizer.tokens_without_row(), named);
    assert!(load(&goldens().join("tiny")).tokenizer.tokens_without_row().is_empty());

    let encode = |text: &str| model.encode(&Row::parse(&format!(r#"{{"text": "{text}"}}"#)).unwrap().body, 100);
    assert!(encode("Say: ticket").is_ok());
    let error = encode("Say: <|note|>").unwrap_err();
    let told = "the token `<|note|>` has the id 769, but the model's embedding has 768 rows";
    assert!(error.to_string().starts_with(told), "{error}");
    assert!(matches!(error, EncodeError::Tokenizer(TokenizerError::NoRow { .. })) && !error.is_of_the_model());

    let embedder = perennial_learn::embed::Embedder::new(&model, perennial_learn::embed::Method::Sif).unwrap();
    let vectors = embedder.embed(&["Say: ", "Say: <|note|>", "<|note|>"]).unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert!(vectors[2].iter().all(|value| *value == 0.0));
}
