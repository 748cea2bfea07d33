use tokenizers::{
    NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
    normalizers::unicode::NFC,
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::TokenizerError;

/// What surrounds a byte-level BPE model, for each name that GGUF files give it in `tokenizer.ggml.pre`. The names and
/// their meaning are llama.cpp's (`src/llama-vocab.cpp`); the parts are those of the `tokenizer.json` they stand for.
pub(super) struct Recipe {
    pub(super) normalizer: Option<NormalizerWrapper>,
    pub(super) pre_tokenizer: PreTokenizerWrapper,
    pub(super) post_processor: PostProcessorWrapper,
    /// Whether a word of the vocabulary is taken whole, even where merges would not lead to it.
    pub(super) ignore_merges: bool,
    /// Whether a text starts with BOS where the file does not say.
    pub(super) add_bos: bool,
}

const SUPPORTED: &str = "smollm, gpt-2, llama-bpe, qwen2";

/// Llama 3's `tokenizer.json`: digits in groups of up to three.
const LLAMA_3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's `tokenizer.json`: digits one by one.
const QWEN_2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Recipe {
    /// A name of each.
    pub(super) const NAMES: [&str; 4] = ["smollm", "gpt-2", "llama-bpe", "qwen2"];

    /// An unknown name is an error: another way of cutting words would give wrong tokens without a word.
    pub(super) fn named(name: &str) -> Result<Self, TokenizerError> {
        let plain = ByteLevel::new(false, true, true);
        let recipe = match name {
            "smollm" => Self {
                normalizer: None,
                pre_tokenizer: Sequence::new(vec![Digits::new(true).into(), plain.into()]).into(),
                post_processor: plain.into(),
                ignore_merges: false,
                add_bos: false,
            },
            "gpt-2" => Self {
                normalizer: None,
                pre_tokenizer: plain.into(),
                post_processor: plain.into(),
                ignore_merges: false,
                add_bos: false,
            },
            "llama-bpe" | "llama3" | "llama-v3" => Self {
                normalizer: None,
                pre_tokenizer: split_words(LLAMA_3_WORDS, ByteLevel::new(false, true, false))?,
                post_processor: ByteLevel::new(true, false, true).into(),
                ignore_merges: true,
                add_bos: true,
            },
            "qwen2" => Self {
                normalizer: Some(NFC.into()),
                pre_tokenizer: split_words(QWEN_2_WORDS, ByteLevel::new(false, false, false))?,
                post_processor: ByteLevel::new(false, false, false).into(),
                ignore_merges: false,
                add_bos: false,
            },
            _ => {
                let name = name.to_owned();
                return Err(TokenizerError::Unsupported { what: "pre-tokenizer", name, supported: SUPPORTED });
            }
        };
        Ok(recipe)
    }
}

fn split_words(pattern: &str, bytes: ByteLevel) -> Result<PreTokenizerWrapper, TokenizerError> {
    let split = Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| TokenizerError::Invalid(format!("has a bad word pattern: {error}")))?;
    Ok(Sequence::new(vec![split.into(), bytes.into()]).into())
}

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    fn words(name: &str, text: &str) -> Vec<String> {
        let mut cut = PreTokenizedString::from(text);
        Recipe::named(name).unwrap().pre_tokenizer.pre_tokenize(&mut cut).unwrap();
        let splits = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(word, _, _)| word.replace('Ġ', " ").replace('Ċ', "\n")).collect()
    }

    #[test]
    fn words_are_cut_as_the_models_were_trained() {
        let text = "I'LL pay 1234 \n\n now!";
        assert_eq!(words("gpt-2", text), ["I", "'", "LL", " pay", " 1234", " \n\n", " now", "!"]);
        assert_eq!(words("smollm", text), ["I", "'", "LL", " pay", " ", "1", "2", "3", "4", " \n\n", " now", "!"]);
        assert_eq!(words("llama-bpe", text), ["I", "'LL", " pay", " ", "123", "4", " \n\n", " now", "!"]);
        assert_eq!(words("qwen2", text), ["I", "'LL", " pay", " ", "1", "2", "3", "4", " \n\n", " now", "!"]);
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = Recipe::named("deepseek-llm").err().unwrap().to_string();
        assert_eq!(error, format!("the pre-tokenizer `deepseek-llm` is not supported; supported are {SUPPORTED}"));
    }
}
