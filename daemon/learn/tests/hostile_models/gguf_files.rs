use perennial_learn::{compute::Precision, model::Model};

use crate::{
    bounds::bounded,
    common::gguf::{self, GgufFile, f32_value, list, text, u32_value, u64_value},
};

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
