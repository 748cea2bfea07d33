use super::{
    super::{Input, Kind, random::Random},
    check_model,
};

/// GGUF files whose counts and types lie.
pub(in super::super) struct Gguf;

impl Kind for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn input(&self, random: &mut Random) -> Input {
        let bytes = file(random);
        let bytes = if random.below(2) == 0 { random.damaged(&bytes) } else { bytes };
        check_model(vec![("model.gguf".to_owned(), bytes)], "model.gguf")
    }
}

const U32: u32 = 4;
const F32: u32 = 6;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// A small file in the form of version 3, with one number in it that no model has.
fn file(random: &mut Random) -> Vec<u8> {
    let wild = *random.pick(&[0, 1, u32::MAX, 1 << 31, 65_537]);
    let wild_at = random.below(10);
    let number = |at: usize, sound: u32| if at == wild_at { wild } else { sound };
    let keys = [
        ("llama.block_count", 1),
        ("llama.embedding_length", 64),
        ("llama.feed_forward_length", 64),
        ("llama.attention.head_count", 2),
        ("llama.attention.head_count_kv", 2),
        ("llama.context_length", 64),
        ("general.alignment", 32),
    ];
    let count = |sound: u64| if wild_at == 8 { u64::from(wild) << random_shift(wild) } else { sound };
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(count(1).to_le_bytes());
    bytes.extend((keys.len() as u64 + 4).to_le_bytes());
    entry(&mut bytes, "general.architecture", STRING, &text("llama"));
    entry(&mut bytes, "tokenizer.ggml.model", STRING, &text("gpt2"));
    entry(&mut bytes, "llama.attention.layer_norm_rms_epsilon", F32, &1e-5_f32.to_le_bytes());
    let tokens: Vec<u8> = (0..64).flat_map(|at| text(&format!("t{at}"))).collect();
    let array = [STRING.to_le_bytes().to_vec(), count(64).to_le_bytes().to_vec(), tokens].concat();
    entry(&mut bytes, "tokenizer.ggml.tokens", ARRAY, &array);
    for (at, (key, sound)) in keys.into_iter().enumerate() {
        entry(&mut bytes, key, U32, &number(at, sound).to_le_bytes());
    }
    bytes.extend(text("token_embd.weight"));
    bytes.extend(number(7, 2).to_le_bytes());
    bytes.extend([64_u64, u64::from(number(9, 64))].map(u64::to_le_bytes).concat());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32) + 64 * 64 * 4, 0);
    bytes
}

/// Half of the wild counts are beyond 32 bits.
fn random_shift(wild: u32) -> u32 {
    if wild % 2 == 1 { 31 } else { 0 }
}

fn entry(bytes: &mut Vec<u8>, key: &str, kind: u32, value: &[u8]) {
    bytes.extend(text(key));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(value);
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}
