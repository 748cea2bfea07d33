use std::{collections::BTreeMap, fs::File, path::Path};

use candle_core::quantized::{
    GgmlDType, QTensor,
    gguf_file::{self, Value},
};
use perennial_kernels::Precision;
use rstest::rstest;

use super::{TOKENS, packed_logits};
use crate::model::{
    Architecture, Model, ModelConfig, gguf,
    testing::{random_tensors, tiny_config, tiny_decoder},
};

/// A GGUF file of this model, as llama.cpp's converter writes it.
fn write_gguf(config: &ModelConfig, path: &Path, change: impl FnOnce(&mut BTreeMap<String, Value>)) {
    let name = config.architecture.model_type();
    let number = |number: usize| Value::U32(number as u32);
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let (tokens, types) = gguf_vocabulary();
    let mut metadata = BTreeMap::from(
        [
            ("general.architecture", Value::String(name.to_owned())),
            ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
            ("tokenizer.ggml.pre", Value::String("smollm".to_owned())),
            ("tokenizer.ggml.tokens", texts(tokens)),
            ("tokenizer.ggml.token_type", Value::Array(types.into_iter().map(Value::I32).collect())),
            ("tokenizer.ggml.merges", texts(vec!["h e".to_owned(), "Ġ he".to_owned()])),
            ("tokenizer.ggml.eos_token_id", Value::U32(257)),
            ("tokenizer.chat_template", Value::String(crate::tokenize::testing::CHATML.to_owned())),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let own = [
        ("block_count", number(config.layers)),
        ("context_length", number(config.positions_max)),
        ("embedding_length", number(config.hidden_size)),
        ("feed_forward_length", number(config.intermediate_size)),
        ("attention.head_count", number(config.heads)),
        ("attention.head_count_kv", number(config.kv_heads)),
        ("attention.layer_norm_rms_epsilon", Value::F32(config.rms_norm_eps as f32)),
        ("rope.freq_base", Value::F32(config.rope.theta as f32)),
    ];
    metadata.extend(own.map(|(key, value)| (format!("{name}.{key}"), value)));
    change(&mut metadata);

    let permutes = !matches!(config.architecture, Architecture::Qwen2 | Architecture::Qwen3);
    let tensors: Vec<(String, QTensor)> = random_tensors(config)
        .into_iter()
        .map(|(name, tensor)| {
            let heads = match () {
                () if !permutes => None,
                () if name.contains("q_proj") => Some(config.heads),
                () if name.contains("k_proj") => Some(config.kv_heads),
                () => None,
            };
            let tensor = heads.map_or(tensor.clone(), |heads| gguf::permute(&tensor, heads).unwrap());
            (gguf_name(&name), QTensor::quantize(&tensor, GgmlDType::F32).unwrap())
        })
        .collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
}

fn gguf_name(name: &str) -> String {
    let renamed = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.", "attn_"),
        ("mlp.", "ffn_"),
        ("_proj", ""),
    ];
    renamed.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

fn gguf_vocabulary() -> (Vec<String>, Vec<i32>) {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut tokens: Vec<String> = alphabet.into_iter().map(String::from).collect();
    tokens.truncate(254);
    tokens.extend(["he", "Ġhe"].map(str::to_owned));
    tokens.extend(["<|im_start|>", "<|im_end|>", "<tool>"].map(str::to_owned));
    let types = (0..tokens.len()).map(|id| [1, 3, 4][usize::from(id >= 256) + usize::from(id == 258)]).collect();
    (tokens, types)
}

#[rstest]
fn a_gguf_file_gives_the_same_model_as_the_tensors_it_was_made_of(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
) {
    let config = tiny_config(architecture);
    let folder = tempfile::tempdir().unwrap();
    write_gguf(&config, &folder.path().join("tiny.gguf"), |_| {});
    let read = Model::load(folder.path(), Precision::F32).unwrap();
    assert_eq!(read.config, config);
    let decoder = tiny_decoder(&config, Precision::F32);
    let made = Model { decoder, ..read.clone() };
    assert_eq!(packed_logits(&read, &[&TOKENS]), packed_logits(&made, &[&TOKENS]));

    assert_eq!(read.tokenizer.encode("he<|im_end|> he<tool>").unwrap(), [254, 257, 255, 258]);
    assert_eq!(read.tokenizer.decode(&[254, 257, 255, 258]).unwrap(), "he he<tool>");
    assert_eq!(read.tokenizer.end_tokens(), [257]);
    let exported = folder.path().join("hf");
    read.export_hf(&exported).unwrap();
    let exported = Model::load(&exported, Precision::F32).unwrap();
    assert_eq!(exported.config, config);
    assert_eq!(
        exported.tokenizer.encode("he<|im_end|> he12").unwrap(),
        read.tokenizer.encode("he<|im_end|> he12").unwrap()
    );
}

#[test]
fn gguf_files_that_cannot_be_read_right_are_refused() {
    let config = tiny_config(Architecture::Llama);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let error = |key: &str, value: Option<Value>| {
        write_gguf(&config, &path, |metadata| match value {
            Some(value) => drop(metadata.insert(key.to_owned(), value)),
            None => drop(metadata.remove(key)),
        });
        Model::load(&path, Precision::F32).err().unwrap().to_string()
    };
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let refusals = [
        (error("general.architecture", text("mamba")), "the architecture `mamba` is not supported"),
        (error("llama.rope.scaling.type", text("yarn")), "the rope scaling `yarn` is not supported"),
        (error("tokenizer.ggml.pre", text("deepseek-llm")), "the pre-tokenizer `deepseek-llm` is not supported"),
        (error("tokenizer.ggml.model", text("llama")), "the tokenizer model `llama` is not supported"),
        (error("llama.block_count", None), "`llama.block_count` is missing"),
        (error("llama.block_count", Some(Value::U32(3))), "is not one that a model of this configuration has"),
        (error("llama.feed_forward_length", Some(Value::U32(40))), "has the shape [48, 32], but"),
        (error("llama.expert_count", Some(Value::U32(8))), "mixtures of experts"),
    ];
    for (error, expected) in refusals {
        assert!(error.contains(expected) && error.contains("tiny.gguf"), "{error}");
    }

    std::fs::write(&path, b"GGUF").unwrap();
    assert!(Model::load(&path, Precision::F32).err().unwrap().to_string().contains("not a GGUF file, or cut short"));
    assert!(
        Model::load(Path::new("/nowhere"), Precision::F32)
            .err()
            .unwrap()
            .to_string()
            .contains("/nowhere: no such file")
    );
}
