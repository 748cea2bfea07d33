use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::Path,
    sync::Arc,
};

use candle_core::{
    DType, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};
use perennial_kernels::{Precision, Span};
use rstest::rstest;

use super::{
    AdapterWeights, Architecture, Attention, Branches, Matrix, Model, ModelConfig, Packing, Rows, Workspace, gguf,
    testing::{moved, random_tensors, tiny_config, tiny_decoder, tiny_model},
};
use crate::adapter::{Adapter, Kind, LoraConfig};

const TOKENS: [u32; 9] = [5, 17, 200, 3, 3, 90, 61, 7, 250];

fn packed_logits(model: &Model, sequences: &[&[u32]]) -> Vec<Vec<f32>> {
    let (rows, cu_seqlens) = Rows::packed(sequences);
    let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
    to_rows(&model.decoder.logits(&hidden, &mut Workspace::default()))
}

fn to_rows(matrix: &Matrix) -> Vec<Vec<f32>> {
    matrix.rows().map(<[f32]>::to_vec).collect()
}

fn assert_close(ours: &[Vec<f32>], theirs: &[Vec<f32>], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().flatten().fold(0.0_f32, |max, value| max.max(value.abs()));
    for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        assert!((ours - theirs).abs() <= tolerance * scale, "{ours} is not {theirs}");
    }
}

#[rstest]
fn cached_and_packed_attention_agree(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
) {
    let model = tiny_model(architecture);
    let whole = packed_logits(&model, &[&TOKENS, &TOKENS[..4]]);

    let mut cache = model.decoder.cache();
    let slots = [cache.insert(16), cache.insert(16)];
    let mut steps = Vec::new();
    // The first sequence comes in pieces of 5, 1 and 3 tokens, the second whole beside the first piece.
    for (first, second) in [(0..5, 0..4), (5..6, 4..4), (6..9, 4..4)] {
        let spans = [Span { slot: slots[0], rows: first.len() }, Span { slot: slots[1], rows: second.len() }];
        let spans = if second.is_empty() { &spans[..1] } else { &spans[..] };
        let tokens = [&TOKENS[first.clone()], &TOKENS[second.clone()]].concat();
        let positions: Vec<u32> = first.clone().chain(second.clone()).map(|position| position as u32).collect();
        let rows = Rows { tokens: tokens.into(), positions: positions.into() };
        let attention = Attention::Cached { cache: &mut cache, spans };
        let hidden = model.decoder.hidden(&rows, attention, None, &mut Workspace::default()).unwrap();
        let mut logits = to_rows(&model.decoder.logits(&hidden, &mut Workspace::default()));
        let of_second = logits.split_off(first.len());
        if !of_second.is_empty() {
            assert_close(&of_second, &whole[TOKENS.len()..], 1e-5);
        }
        steps.extend(logits);
    }
    assert_close(&steps, &whole[..TOKENS.len()], 1e-5);
}

#[test]
fn layers_without_rope_do_not_see_positions() {
    let mut model = tiny_model(Architecture::SmolLm3);
    let shifted = |model: &Model| {
        let (mut rows, cu_seqlens) = Rows::packed(&[TOKENS]);
        // Rope is relative, so only a stretched sequence looks different from a plain one.
        rows.positions = (0..TOKENS.len() as u32).map(|position| position * 3).collect();
        let hidden =
            model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
        to_rows(&model.decoder.logits(&hidden, &mut Workspace::default()))
    };
    assert_ne!(shifted(&model), packed_logits(&model, &[&TOKENS]));
    model.decoder.layers.iter_mut().for_each(|layer| layer.rope = false);
    assert_eq!(shifted(&model), packed_logits(&model, &[&TOKENS]));
}

#[test]
fn hidden_after_all_layers_is_the_stream_before_the_final_norm() {
    let model = tiny_model(Architecture::Llama);
    let (rows, cu_seqlens) = Rows::packed(&[TOKENS]);
    let after =
        |layers| model.decoder.hidden_after(layers, &rows, Attention::Packed(&cu_seqlens), &mut Workspace::default());
    let mut embedding = vec![0.0; 32];
    model.decoder.embeddings().row_into(17, &mut embedding);
    assert_eq!(after(0).unwrap().rows().nth(1).unwrap(), embedding);
    let hidden = model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), None, &mut Workspace::default()).unwrap();
    let mut normed = vec![0.0_f32; hidden.values().len()];
    perennial_kernels::rms_norm(&mut normed, after(4).unwrap().values(), &model.decoder.norm, model.decoder.eps);
    assert_eq!(normed, hidden.values());
    assert!(after(5).is_err());
}

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
            let tensor = heads.map_or(tensor.clone(), |heads| gguf::tests::permute(&tensor, heads));
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

#[test]
fn tokens_and_positions_outside_of_the_model_are_errors() {
    let model = tiny_model(Architecture::Llama);
    let run = |token: u32, position: u32| {
        let rows = Rows { tokens: Arc::new([token]), positions: Arc::new([position]) };
        model.decoder.hidden(&rows, Attention::Packed(&[0, 1]), None, &mut Workspace::default())
    };
    assert!(run(258, 255).is_ok());
    assert!(run(259, 0).is_err());
    assert!(run(0, 256).is_err());
}

fn tiny_model_in(architecture: Architecture, precision: Precision) -> Model {
    let model = tiny_model(architecture);
    Model { decoder: tiny_decoder(&model.config, precision), ..model }
}

/// The gradients of an adapter's tensors for a fixed gradient of the hidden states.
fn gradients(model: &Model, kind: Kind, layers_kept: usize) -> Vec<Vec<f32>> {
    let (decoder, lora) = (&model.decoder, LoraConfig { r: 4, kind, ..LoraConfig::default() });
    let adapter = moved(&Adapter::init(&lora, model, 1).unwrap());
    let weights = AdapterWeights::new(&adapter, decoder).unwrap();
    let sequences: [(&[u32], usize); 3] = [(&TOKENS, 4), (&TOKENS[..6], 4), (&[9, 9, 3], 1)];
    let (branches, mut workspace) = (Branches::new(&sequences), Workspace::default());
    let packing = Packing::Branches(&branches);
    let (hidden, tape) = decoder.forward(branches.rows(), packing, &weights, layers_kept, &mut workspace).unwrap();
    let slopes = (0..hidden.values().len()).map(|at| ((at * 37 % 101) as f32 - 50.0) / 500.0).collect();
    let mut gradients: Vec<Vec<f32>> = adapter
        .sites()
        .flat_map(|(_, site)| site.tensors().iter().map(|tensor| vec![0.0; tensor.elem_count()]))
        .collect();
    tape.backward(&Matrix::new(slopes, hidden.cols()), &mut gradients, &mut workspace).unwrap();
    gradients
}

#[rstest]
fn layers_that_are_computed_again_give_the_same_gradients(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
    #[values(Precision::F32, Precision::Bf16)] precision: Precision,
) {
    let model = tiny_model_in(architecture, precision);
    for kind in Kind::ALL {
        let all_kept = gradients(&model, kind, model.config.layers);
        for layers_kept in [0, 1, 3] {
            assert_eq!(gradients(&model, kind, layers_kept), all_kept, "{kind:?}");
        }
    }
}

#[rstest]
fn gradients_in_bf16_are_those_in_f32_within_its_rounding(
    #[values(Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::SmolLm3)]
    architecture: Architecture,
) {
    for kind in Kind::ALL {
        check_rounding(architecture, kind);
    }
}

fn check_rounding(architecture: Architecture, kind: Kind) {
    let gradients = |precision| {
        let model = tiny_model_in(architecture, precision);
        gradients(&model, kind, model.config.layers).concat()
    };
    let (exact, rounded) = (gradients(Precision::F32), gradients(Precision::Bf16));
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    let error = norm(&mut exact.iter().zip(&rounded).map(|(exact, rounded)| exact - rounded));
    let share = error / norm(&mut exact.iter().copied());
    // Eight bits of significand are rounded by up to 0.4 %, many times through four layers and back; the weights of this
    // model are noise, so that its gradients are small differences.
    assert!((1e-5..0.1).contains(&share), "{kind:?}: {share}");
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
