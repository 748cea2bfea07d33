//! Model files that were made to do harm, or were damaged: each ends as a named error, soon, and without more memory than a bound.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes the helpers of a test file for no tests"
)]

mod common;

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use common::{
    gguf::{self, GgufFile, f32_value, list, text, u32_value, u64_value},
    goldens,
};
use peak_alloc::PeakAlloc;
use perennial_learn::{
    compute::Precision,
    model::{Model, check_safetensors},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What reading one of these small files may take beyond what the test has already.
const MEMORY_BYTES_MAX: usize = 96 << 20;
const TIME_MAX: Duration = Duration::from_secs(20);

/// What the work gives, within the bounds.
fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    // The peak is that of the whole process: no other test may work meanwhile. One that failed broke nothing.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let start = Instant::now();
    let result = work();
    let (took, peak) = (start.elapsed(), MEMORY.peak_usage().saturating_sub(before));
    assert!(peak < MEMORY_BYTES_MAX, "{what}: {peak} bytes");
    assert!(took < TIME_MAX, "{what}: {took:?}");
    result
}

fn gguf_error(file: &[u8], what: &str) -> String {
    bounded(what, || Model::read_gguf(file, Precision::F32)).err().unwrap_or_else(|| panic!("{what} loads")).to_string()
}

#[test]
fn gguf_files_that_lie_about_themselves_are_refused_by_name() {
    let good = gguf::small();
    Model::read_gguf(&good.bytes(), Precision::F32).unwrap();
    let with = |key: &str, value: Vec<u8>| good.clone().with(key, Some(value)).bytes();
    let tensor = |name: &str, change: fn(&mut gguf::GgufTensor)| {
        let mut file = good.clone();
        change(file.tensor(name));
        file.bytes()
    };
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.bytes();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let huge = u64::MAX.to_le_bytes();
    let cut = good.bytes();
    let twice = |file: &GgufFile| {
        let mut file = file.clone();
        file.keys.push(file.keys[0].clone());
        file
    };
    let mut tensor_twice = good.clone();
    tensor_twice.tensors.push(tensor_twice.tensors[1].clone());
    let merges_of_a_list =
        [9_u32.to_le_bytes().as_slice(), &8_u32.to_le_bytes(), &(1_u64 << 40).to_le_bytes()].concat();
    let nested = list(9, vec![list(9, vec![list(0, vec![vec![1]])])[4..].to_vec()]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no magic", patched(0, b"GGML"), "does not begin with `GGUF`"),
        ("another version", patched(4, &9_u32.to_le_bytes()), "of version 9"),
        ("2^64 tensors", patched(8, &huge), "announces 18446744073709551615 tensors"),
        ("60000 tensors", patched(8, &60_000_u64.to_le_bytes()), "cut short"),
        ("2^64 keys", patched(16, &huge), "cut short"),
        ("a key of 2^64 bytes", patched(24, &huge), "are left of the file"),
        ("a list of 2^40 texts", with("tokenizer.ggml.merges", merges_of_a_list), "are left of the file"),
        ("lists of lists", with("tokenizer.ggml.scores", nested), "`tokenizer.ggml.scores`: lists of lists"),
        ("a value of an unknown type", with("x", 99_u32.to_le_bytes().to_vec()), "`x`: a value of type 99"),
        ("a key twice", twice(&good).bytes(), "the key `general.architecture` twice"),
        ("a tensor twice", tensor_twice.bytes(), "the tensor `output_norm.weight` twice"),
        ("alignment 0", with("general.alignment", u32_value(0)), "`general.alignment` is 0"),
        ("alignment 24", with("general.alignment", u32_value(24)), "`general.alignment` is 24"),
        ("alignment 2^31", with("general.alignment", u32_value(1 << 31)), "bytes of data are there"),
        ("alignment as text", with("general.alignment", text("32")), "`general.alignment` must be a u32"),
        ("2^60 positions", with("llama.context_length", u64_value(1 << 60)), "`max_position_embeddings` is"),
        ("4e9 layers", with("llama.block_count", u32_value(4_000_000_000)), "`num_hidden_layers` is 4000000000"),
        (
            "1000 layers",
            with("llama.block_count", u32_value(1000)),
            "`model.layers.1.input_layernorm.weight` is missing",
        ),
        ("no heads", with("llama.attention.head_count", u32_value(0)), "is 0"),
        ("2^32 heads", with("llama.attention.head_count", u32_value(u32::MAX)), "`num_attention_heads` is"),
        ("a million heads", with("llama.attention.head_count", u32_value(1 << 20)), "`head_dim` is 0"),
        (
            "heads that are no multiple",
            with("llama.attention.head_count_kv", u32_value(3)),
            "`num_key_value_heads` does not",
        ),
        ("2^60 wide", with("llama.embedding_length", u64_value(1 << 60)), "`hidden_size` is"),
        ("a wide head", with("llama.attention.key_length", u32_value(1 << 30)), "`head_dim` is 1073741824"),
        ("a negative eps", with("llama.attention.layer_norm_rms_epsilon", f32_value(-1.0)), "`rms_norm_eps` is -1"),
        (
            "an eps that is no number",
            with("llama.attention.layer_norm_rms_epsilon", f32_value(f32::NAN)),
            "`rms_norm_eps`",
        ),
        ("theta 0", with("llama.rope.freq_base", f32_value(0.0)), "`rope_theta` is 0"),
        (
            "more merges than tokens",
            with("tokenizer.ggml.merges", list(8, vec![text("xx yy")[4..].to_vec()])),
            "the tokenizer",
        ),
        (
            "an eos beyond the tokens",
            with("tokenizer.ggml.eos_token_id", u32_value(999)),
            "`tokenizer.ggml.eos_token_id` is 999",
        ),
        (
            "types of too few tokens",
            with("tokenizer.ggml.token_type", list(5, vec![vec![1, 0, 0, 0]])),
            "has the types of 1 tokens",
        ),
        (
            "one of several parts",
            with("split.count", [2_u32.to_le_bytes().to_vec(), vec![2, 0]].concat()),
            "split into 2 files",
        ),
        ("a side of 0", tensor("output_norm.weight", |tensor| tensor.dims = vec![0]), "has a side of 0"),
        ("2^63 x 4", tensor("blk.0.attn_q.weight", |tensor| tensor.dims = vec![1 << 63, 4]), "beyond any file"),
        ("five sides", tensor("output_norm.weight", |tensor| tensor.dims = vec![1; 5]), "5 dimensions"),
        ("2^32 sides", tensor("output_norm.weight", |tensor| tensor.dims = vec![]), "0 dimensions"),
        (
            "beyond the file",
            tensor("output_norm.weight", |tensor| tensor.offset = Some(1 << 40)),
            "bytes of data are there",
        ),
        (
            "at 2^64",
            tensor("output_norm.weight", |tensor| tensor.offset = Some(u64::MAX - 31)),
            "bytes of data are there",
        ),
        ("over another", tensor("blk.0.attn_q.weight", |tensor| tensor.offset = Some(0)), "overlaps another"),
        ("a type that is not known", tensor("output_norm.weight", |tensor| tensor.kind = 99), "ggml's type 99"),
        ("half a block", tensor("output_norm.weight", |tensor| tensor.kind = 2), "no whole blocks of 32"),
        ("another shape", tensor("blk.0.ffn_up.weight", |tensor| tensor.dims.reverse()), "has the shape [8, 16], but"),
        (
            "a norm that is no number",
            tensor("output_norm.weight", |tensor| tensor.data[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
            "not finite",
        ),
        ("cut in its header", cut[..good.header().len() / 2].to_vec(), "cut short"),
        ("cut in its data", cut[..cut.len() - 1].to_vec(), "cut short"),
        ("nothing", Vec::new(), "cut short"),
    ];
    for (what, file, expected) in cases {
        let error = gguf_error(&file, what);
        assert!(error.contains(expected), "{what}: {error}");
    }
}

/// A copy of the tiny model.
fn tiny() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in
        ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    {
        fs::copy(goldens().join("tiny").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn configurations_that_cannot_be_are_refused_by_the_keys_name() {
    let folder = tiny();
    let path = folder.path().join("config.json");
    let good = fs::read(&path).unwrap();
    let cases = [
        ("max_position_embeddings", json!(1_u64 << 60)),
        ("max_position_embeddings", json!(0)),
        ("num_hidden_layers", json!(4_000_000_000_u64)),
        ("num_hidden_layers", json!(-1)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(u64::MAX)),
        ("num_attention_heads", json!(1e300)),
        ("num_key_value_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(1 << 30)),
        ("head_dim", json!(31)),
        ("hidden_size", json!(1_u64 << 40)),
        ("hidden_size", json!(null)),
        ("intermediate_size", json!("256")),
        ("vocab_size", json!(1_u64 << 60)),
        ("rms_norm_eps", json!(-1.0)),
        ("rms_norm_eps", json!(0)),
        ("rms_norm_eps", json!("small")),
        ("rope_theta", json!(0)),
        ("rope_theta", json!(-5)),
        ("rope_theta", json!("much")),
        (
            "rope_scaling",
            json!({ "rope_type": "longrope", "factor": 2.0, "short_factor": [1.0], "long_factor": [1.0] }),
        ),
        ("rope_scaling", json!({ "rope_type": "linear" })),
        ("rope_scaling.factor", json!({ "rope_type": "linear", "factor": 0 })),
        ("rope_scaling.low_freq_factor", json!({ "rope_type": "llama3", "factor": 2 })),
        ("rope_scaling.beta_fast", json!({ "rope_type": "yarn", "factor": 2, "beta_fast": "fast" })),
        (
            "rope_scaling.original_max_position_embeddings",
            json!({ "rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0 }),
        ),
        ("rope_parameters.full_attention", json!({ "full_attention": { "rope_type": "default" } })),
        ("partial_rotary_factor", json!(0.5)),
        ("partial_rotary_factor", json!({ "rope_theta": 100.0, "partial_rotary_factor": 0.5 })),
        ("hidden_act", json!("gelu")),
        ("quantization_config", json!({ "bits": 4 })),
        ("tie_word_embeddings", json!("yes")),
        ("attention_bias", json!(1)),
        ("model_type", json!("mamba")),
        ("model_type", json!(7)),
    ];
    for (key, value) in cases {
        let outer = match (key.split_once('.'), &value) {
            (Some((outer, _)), _) => outer,
            (None, Value::Object(map)) if map.contains_key("partial_rotary_factor") => "rope_parameters",
            (None, _) => key,
        };
        fs::write(&path, &good).unwrap();
        change(&path, |config| config[outer] = value.clone());
        let error = bounded(key, || Model::load(folder.path(), Precision::F32)).err();
        let error = error.unwrap_or_else(|| panic!("{key} = {value} loads")).to_string();
        let named = key.rsplit('.').next().unwrap();
        let wanted = match named {
            "rope_scaling" | "hidden_act" | "model_type" => {
                &["rope scaling", "rope_scaling", "activation", "architecture", "model_type"][..]
            }
            other => &[other][..],
        };
        assert!(wanted.iter().any(|wanted| error.contains(wanted)), "{key} = {value}: {error}");
        assert!(!error.contains("a library fails"), "{key} = {value}: {error}");
    }
    // What no class of transformers reads, and what only another class does, changes nothing.
    fs::write(&path, &good).unwrap();
    change(&path, |config| {
        config["embedding_multiplier"] = json!(12.0);
        config["sliding_window"] = json!(4);
        config["use_sliding_window"] = json!(true);
    });
    assert_eq!(Model::load(folder.path(), Precision::F32).unwrap().config.positions_max, 512);
    // Weights of another shape than the configuration says are found before they are read.
    for (key, value, tensor) in
        [("hidden_size", 256, "model.embed_tokens.weight"), ("vocab_size", 1 << 20, "model.embed_tokens.weight")]
    {
        fs::write(&path, &good).unwrap();
        change(&path, |config| config[key] = json!(value));
        let error = bounded(key, || Model::load(folder.path(), Precision::F32)).err().unwrap().to_string();
        assert!(error.contains(tensor) && error.contains("has the shape"), "{error}");
    }
}

/// A safetensors file of this header and so many bytes of data.
fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_that_lie_about_themselves_are_refused_by_name() {
    let one = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": [{from}, {to}]}}}}"#)
    };
    check_safetensors(&safetensors(&one("[2, 3]", 0, 24), 24)).unwrap();
    let two = r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "b": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a header of 2^64 bytes", u64::MAX.to_le_bytes().to_vec(), "its header does not fit"),
        (
            "a header that is longer than the file",
            [&99_u64.to_le_bytes()[..], b"{}"].concat(),
            "its header does not fit",
        ),
        ("no header", vec![1, 2, 3], "its header does not fit"),
        ("a header of brackets", safetensors(&"[".repeat(1 << 20), 0), "its header makes no sense"),
        ("a header of objects", safetensors(&r#"{"a":"#.repeat(1 << 18), 0), "its header makes no sense"),
        (
            "a type that is not known",
            safetensors(&one("[2]", 0, 8).replace("F32", "X9"), 8),
            "its header makes no sense",
        ),
        ("a type that cannot be read", safetensors(&one("[2]", 0, 8).replace("F32", "I32"), 8), "is stored as I32"),
        ("data beyond the file", safetensors(&one("[4]", 0, 16), 8), "cut short"),
        ("data that nobody has", safetensors(&one("[4]", 0, 16), 99), "cut short, or damaged"),
        ("2^62 values", safetensors(&one("[4611686018427387904]", 0, 16), 16), "its header makes no sense"),
        (
            "sides that multiply to 0",
            safetensors(&one("[4294967296, 4294967296]", 0, 0), 0),
            "its header makes no sense",
        ),
        ("an end before the start", safetensors(&one("[4]", 16, 0), 16), "its header makes no sense"),
        ("one over another", safetensors(two, 16), "its header makes no sense"),
        ("three sides", safetensors(&one("[1, 1, 1]", 0, 4), 4), "made of vectors and matrices"),
    ];
    for (what, file, expected) in cases {
        let error = bounded(what, || check_safetensors(&file)).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
    let folder = tiny();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let index = json!({ "weight_map": { "model.norm.weight": "../elsewhere.safetensors" } });
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("no file of this folder"), "{error}");
}

#[test]
fn word_patterns_without_end_cost_the_text_and_not_the_process() {
    let folder = tiny();
    change(&folder.path().join("tokenizer.json"), |tokenizer| {
        let split =
            json!({ "type": "Split", "pattern": { "Regex": "^(a|aa|a*)+$" }, "behavior": "Isolated", "invert": false });
        let bytes = tokenizer["pre_tokenizer"].clone();
        tokenizer["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [split, bytes] });
    });
    let model = Model::load(folder.path(), Precision::F32).unwrap();
    assert!(model.tokenizer.encode("aaa").is_ok());
    let error =
        bounded("a pattern without end", || model.tokenizer.encode(&format!("{}b", "a".repeat(60)))).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");

    change(&folder.path().join("tokenizer.json"), |tokenizer| {
        tokenizer["pre_tokenizer"] =
            json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false })
    });
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("cannot be read"), "{error}");
}

#[test]
fn tokenizers_that_would_not_give_the_same_tokens_twice_are_refused() {
    let folder = tiny();
    change(&folder.path().join("tokenizer.json"), |tokenizer| tokenizer["model"]["dropout"] = json!(0.1));
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("`dropout`"), "{error}");
}

/// Changes of bytes: single ones, numbers that mean something where lengths stand, and cuts.
#[derive(Clone, Debug)]
enum Damage {
    Byte(usize, u8),
    Number(usize, u64),
    Cut(usize, usize),
    Copied(usize, usize, usize),
}

fn damages(len: usize, header: usize) -> impl Strategy<Value = Vec<Damage>> {
    let at = prop_oneof![3 => 0..header, 1 => 0..len];
    let number = prop_oneof![
        any::<u64>(),
        (0_u32..64).prop_map(|bits| 1 << bits),
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
        (0..len as u64 * 2),
    ];
    let damage = prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        4 => (at.clone(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => (at.clone(), 1_usize..64).prop_map(|(at, bytes)| Damage::Cut(at, bytes)),
        1 => (at.clone(), at, 1_usize..64).prop_map(|(from, to, bytes)| Damage::Copied(from, to, bytes)),
    ];
    prop::collection::vec(damage, 1..5)
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let len = bytes.len();
        match *damage {
            Damage::Byte(at, byte) => bytes[at.min(len - 1)] = byte,
            Damage::Number(at, number) => {
                let at = at.min(len - 8);
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            Damage::Cut(at, cut) => {
                let at = at.min(len - 64);
                bytes.drain(at..at + cut);
            }
            Damage::Copied(from, to, count) => {
                let from = from.min(len - 64);
                let part = bytes[from..from + count].to_vec();
                let to = to.min(len);
                bytes.splice(to..to, part);
            }
        }
    }
    bytes
}

/// Whether it loads or is refused, no library had to panic for it.
fn told_apart<T>(what: &str, result: Result<T, perennial_learn::model::ModelError>) {
    if let Err(error) = result {
        assert!(!error.to_string().contains("a library fails"), "{what}: {error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..64).prop_map(|bits| Value::from(1_u64 << bits)),
        any::<f64>().prop_map(Value::from),
        "[a-z_0-9]{0,12}".prop_map(Value::from),
        prop_oneof![Just("linear"), Just("yarn"), Just("llama3"), Just("sliding_attention"), Just("qwen3")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("rope_type"),
            Just("factor"),
            Just("rope_theta"),
            Just("content"),
            Just("original_max_position_embeddings")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_gguf_files_end_soon_and_small(damages in damages(16 << 10, gguf::small().header().len())) {
        let file = damaged(gguf::small().bytes(), &damages);
        told_apart("gguf", bounded("gguf", || Model::read_gguf(&file, Precision::F32)));
    }

    #[test]
    fn damaged_safetensors_end_soon_and_small(damages in damages(1 << 10, 256)) {
        let header = r#"{"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}, "b": {"dtype": "BF16", "shape": [64], "data_offsets": [128, 256]}}"#;
        let file = damaged(safetensors(header, 256), &damages);
        told_apart("safetensors", bounded("safetensors", || check_safetensors(&file)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_configuration_is_read_or_refused(keys in prop::collection::vec((0_usize..24, any_json()), 1..4)) {
        const KEYS: [&str; 24] = [
            "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "hidden_act", "tie_word_embeddings",
            "rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "sliding_window", "use_sliding_window",
            "no_rope_layers", "no_rope_layer_interval", "layer_types", "max_window_layers", "attention_bias", "eos_token_id",
        ];
        let folder = tiny();
        change(&folder.path().join("config.json"), |config| {
            keys.into_iter().for_each(|(key, value)| config[KEYS[key]] = value);
        });
        told_apart("config", bounded("config", || Model::load(folder.path(), Precision::F32)));
    }

    #[test]
    fn damaged_tokenizers_are_read_or_refused(damages in damages(37_000, 4_000)) {
        let folder = tiny();
        let path = folder.path().join("tokenizer.json");
        fs::write(&path, damaged(fs::read(&path).unwrap(), &damages)).unwrap();
        if let Ok(model) = bounded("tokenizer", || Model::load(folder.path(), Precision::F32)) {
            let _ = bounded("encoding", || model.tokenizer.encode("Some text, 12 <|im_end|>"));
        }
    }
}
