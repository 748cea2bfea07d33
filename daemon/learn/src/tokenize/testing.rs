//! A tokenizer for tests: one token a byte, then ChatML's special tokens.

use tokenizers::{
    AddedToken, ModelWrapper,
    decoders::byte_level::ByteLevel,
    models::bpe::{BPE, Vocab},
};

use super::{ChatTemplate, SpecialTokens, Tokenizer};

/// The tokens of [`byte_tokenizer`].
pub(crate) const VOCAB_SIZE: usize = 259;

pub(crate) const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
     {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

pub(crate) fn special_tokens() -> SpecialTokens {
    SpecialTokens { eos: Some("<|im_end|>".to_owned()), ..SpecialTokens::default() }
}

/// Bytes are the tokens 0 to 255; `<|im_start|>`, `<|im_end|>` (which ends a generation) and `<|pad|>` follow.
pub(crate) fn byte_tokenizer() -> Tokenizer {
    byte_tokenizer_with(special_tokens())
}

/// [`byte_tokenizer`] with other roles.
pub(crate) fn byte_tokenizer_with(special: SpecialTokens) -> Tokenizer {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocab: Vocab = alphabet.iter().zip(0..).map(|(character, id)| (character.to_string(), id)).collect();
    let bpe = BPE::builder().vocab_and_merges(vocab, Vec::new()).build().unwrap();
    let mut inner = tokenizers::Tokenizer::new(ModelWrapper::BPE(bpe));
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    inner.with_decoder(Some(ByteLevel::default()));
    let added = ["<|im_start|>", "<|im_end|>", "<|pad|>"].map(|text| AddedToken::from(text, true));
    inner.add_special_tokens(added).unwrap();
    Tokenizer::new(inner, special, &[]).unwrap()
}

pub(crate) fn chatml() -> ChatTemplate {
    ChatTemplate::new(Some(CHATML), &special_tokens())
}
