//! GGUF files byte by byte, so that tests can write what no library would.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// A file under construction: its keys with their encoded values, and its tensors.
#[derive(Clone)]
pub(crate) struct GgufFile {
    pub(crate) keys: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<GgufTensor>,
    pub(crate) alignment: usize,
}

#[derive(Clone)]
pub(crate) struct GgufTensor {
    pub(crate) name: String,
    /// The innermost side first, as in the file.
    pub(crate) dims: Vec<u64>,
    pub(crate) kind: u32,
    /// Where it says that its data is; `None` for where it is.
    pub(crate) offset: Option<u64>,
    pub(crate) data: Vec<u8>,
}

pub(crate) const HIDDEN: usize = 8;
const WIDE: usize = 16;

/// A Llama of one layer over bytes, which loads.
pub(crate) fn small() -> GgufFile {
    small_with(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
}

/// As [`small`], with other special tokens; the first is the EOS.
pub(crate) fn small_with(special: [&str; 3]) -> GgufFile {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut tokens: Vec<String> = alphabet.into_iter().map(String::from).collect();
    tokens.push("he".to_owned());
    tokens.extend(special.map(str::to_owned));
    let types: Vec<u32> = (0..tokens.len()).map(|id| if id <= 256 { 1 } else { 3 }).collect();
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
    let vocabulary = tokens.len();
    let keys = [
        ("general.architecture", text("llama")),
        ("llama.block_count", u32_value(1)),
        ("llama.context_length", u32_value(64)),
        ("llama.embedding_length", u32_value(HIDDEN as u32)),
        ("llama.feed_forward_length", u32_value(WIDE as u32)),
        ("llama.attention.head_count", u32_value(2)),
        ("llama.attention.head_count_kv", u32_value(1)),
        ("llama.attention.layer_norm_rms_epsilon", f32_value(1e-5)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("smollm")),
        ("tokenizer.ggml.tokens", list(8, tokens.iter().map(|token| length_and(token.as_bytes())).collect())),
        ("tokenizer.ggml.token_type", list(5, types.iter().map(|kind| kind.to_le_bytes().to_vec()).collect())),
        ("tokenizer.ggml.merges", list(8, vec![length_and(b"h e")])),
        ("tokenizer.ggml.eos_token_id", u32_value(257)),
        ("tokenizer.chat_template", text(template)),
    ];
    let keys = keys.map(|(key, value)| (key.to_owned(), value)).into();
    let (hidden, wide, kv) = (HIDDEN, WIDE, HIDDEN / 2);
    let tensors = [
        ("token_embd.weight", vec![hidden, vocabulary]),
        ("output_norm.weight", vec![hidden]),
        ("blk.0.attn_norm.weight", vec![hidden]),
        ("blk.0.ffn_norm.weight", vec![hidden]),
        ("blk.0.attn_q.weight", vec![hidden, hidden]),
        ("blk.0.attn_k.weight", vec![hidden, kv]),
        ("blk.0.attn_v.weight", vec![hidden, kv]),
        ("blk.0.attn_output.weight", vec![hidden, hidden]),
        ("blk.0.ffn_gate.weight", vec![hidden, wide]),
        ("blk.0.ffn_up.weight", vec![hidden, wide]),
        ("blk.0.ffn_down.weight", vec![wide, hidden]),
    ];
    let tensors = tensors.into_iter().map(|(name, dims)| {
        let values = (0..dims.iter().product::<usize>()).map(|at| (at % 7) as f32 / 8.0);
        GgufTensor {
            name: name.to_owned(),
            dims: dims.iter().map(|dim| *dim as u64).collect(),
            kind: 0,
            offset: None,
            data: values.flat_map(f32::to_le_bytes).collect(),
        }
    });
    GgufFile { keys, tensors: tensors.collect(), alignment: 32 }
}

impl GgufFile {
    /// With another value under a key, or the key taken out.
    pub(crate) fn with(mut self, key: &str, value: Option<Vec<u8>>) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self.keys.extend(value.map(|value| (key.to_owned(), value)));
        self
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut GgufTensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }

    /// What stands before the data of the tensors.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            bytes.extend(length_and(key.as_bytes()));
            bytes.extend(value);
        }
        let mut offset = 0;
        for GgufTensor { name, dims, kind, offset: said, data } in &self.tensors {
            bytes.extend(length_and(name.as_bytes()));
            bytes.extend((dims.len() as u32).to_le_bytes());
            bytes.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(said.unwrap_or(offset).to_le_bytes());
            offset = (offset + data.len() as u64).next_multiple_of(self.alignment as u64);
        }
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        for GgufTensor { data, .. } in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
            bytes.extend(data);
        }
        bytes
    }
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [8_u32.to_le_bytes().to_vec(), length_and(text.as_bytes())].concat()
}

pub(crate) fn u32_value(value: u32) -> Vec<u8> {
    [4_u32.to_le_bytes(), value.to_le_bytes()].concat()
}

pub(crate) fn u64_value(value: u64) -> Vec<u8> {
    [10_u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat()
}

pub(crate) fn f32_value(value: f32) -> Vec<u8> {
    [6_u32.to_le_bytes(), value.to_le_bytes()].concat()
}

/// A list of values of one type, each encoded.
pub(crate) fn list(kind: u32, values: Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = [9_u32.to_le_bytes(), kind.to_le_bytes()].concat();
    bytes.extend((values.len() as u64).to_le_bytes());
    bytes.extend(values.concat());
    bytes
}

fn length_and(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}
