//! Our numbers against those of transformers, as `tests/goldens/README.md` describes them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes the helpers of a test file for no tests"
)]

mod common;

use candle_core::Device;
use common::{goldens, isa::under_every_isa, smollm2};
use perennial_learn::{
    compute::Precision,
    model::{Attention, Model, Rows, Workspace},
};
use perennial_types::{Content, Message};
use serde::Deserialize;

const TINY_TOLERANCE: f32 = 1e-5;
const SMOLLM2_TOLERANCE: f32 = 1e-3;

#[derive(Deserialize)]
struct Strings {
    strings: Vec<String>,
    conversations: Vec<Vec<Message>>,
    models: std::collections::BTreeMap<String, ModelStrings>,
}

#[derive(Deserialize)]
struct ModelStrings {
    ids: Vec<Vec<u32>>,
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Conversation {
    text: String,
    ids: Vec<u32>,
    prompt_text: String,
    prompt_ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Logits {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    tokens: Vec<u32>,
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let path = goldens().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn tiny() -> Model {
    Model::load(&goldens().join("tiny"), Precision::F32).unwrap()
}

fn check_strings(name: &str, model: &Model) {
    let golden: Strings = read("strings.json");
    let expected = &golden.models[name];
    assert_eq!(golden.strings.len(), expected.ids.len());
    for (text, ids) in golden.strings.iter().zip(&expected.ids) {
        assert_eq!(model.tokenizer.encode_rendered(text).unwrap(), *ids, "{name}: {text:?}");
    }
    assert_eq!(golden.conversations.len(), expected.conversations.len());
    for (messages, expected) in golden.conversations.iter().zip(&expected.conversations) {
        assert_eq!(model.template.render(messages, None, false).unwrap(), expected.text, "{name}");
        assert_eq!(model.template.render(messages, None, true).unwrap(), expected.prompt_text, "{name}");
        assert_eq!(model.tokenizer.encode_rendered(&expected.text).unwrap(), expected.ids, "{name}");
        let asked = model.encode_prompt(&Content::Messages(messages.clone()).into()).unwrap();
        // transformers reads what somebody says as control tokens, unless it is told not to; here it is text.
        match messages.iter().any(|message| message.content.contains("<|im_")) {
            true => assert!(asked.len() > expected.prompt_ids.len(), "{name}"),
            false => assert_eq!(asked, expected.prompt_ids, "{name}"),
        }
    }
}

fn check_logits(name: &str, model: &Model, tolerance: f32) {
    let Logits { prompts } = read(&format!("logits_{name}.json"));
    let tensors = goldens().join(format!("logits_{name}.safetensors"));
    let tensors = candle_core::safetensors::load(tensors, &Device::Cpu).unwrap();
    let sequences: Vec<Vec<u32>> = prompts.into_iter().map(|prompt| prompt.tokens).collect();
    let (rows, cu_seqlens) = Rows::packed(&sequences);
    let attention = Attention::Packed(&cu_seqlens);
    let hidden = model.decoder.hidden(&rows, attention, None, &mut Workspace::default()).unwrap();
    let last: Vec<u32> = cu_seqlens[1..].iter().map(|end| end - 1).collect();
    let hidden = hidden.select(&last);
    let logits = model.decoder.logits(&hidden, &mut Workspace::default());
    for (what, ours, theirs) in [("hidden", &hidden, &tensors["hidden"]), ("logits", &logits, &tensors["logits"])] {
        let theirs: Vec<Vec<f32>> = theirs.to_vec2().unwrap();
        assert_eq!(ours.rows().len(), theirs.len(), "{what}");
        for (prompt, (ours, theirs)) in ours.rows().zip(&theirs).enumerate() {
            let error = relative_error(ours, theirs);
            println!("{name}: prompt {prompt}: relative error of {what}: {error:.2e}");
            assert!(error <= tolerance, "{name}: prompt {prompt}: {what}: {error} is above {tolerance}");
        }
    }
}

fn relative_error(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest =
        |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, |largest, value| largest.max(value.abs()));
    largest(&mut ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs)) / largest(&mut theirs.iter().copied())
}

#[test]
fn tiny_tokenizes_as_transformers_does() {
    check_strings("tiny", &tiny());
}

#[test]
fn tiny_computes_as_transformers_does() {
    under_every_isa("tiny_computes_as_transformers_does", || check_logits("tiny", &tiny(), TINY_TOLERANCE));
}

#[test]
#[ignore = "long, and needs SmolLM2: cargo xtask test --long"]
fn smollm2_agrees_with_transformers_in_both_file_forms() {
    let path = smollm2();
    let model = Model::load(&path, Precision::F32).unwrap();
    check_strings("smollm2", &model);
    check_logits("smollm2", &model, SMOLLM2_TOLERANCE);

    let folder = tempfile::tempdir().unwrap();
    model.export_hf(folder.path()).unwrap();
    let exported = Model::load(folder.path(), Precision::F32).unwrap();
    assert_eq!(exported.config, model.config);
    check_strings("smollm2", &exported);
    check_logits("smollm2", &exported, SMOLLM2_TOLERANCE);
}
