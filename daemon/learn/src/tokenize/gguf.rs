use tokenizers::{
    AddedToken, ModelWrapper, PostProcessorWrapper,
    decoders::byte_level::ByteLevel,
    models::bpe::{BPE, Vocab},
    processors::{sequence::Sequence, template::TemplateProcessing},
};

use super::{ChatTemplate, SpecialTokens, Tokenizer, TokenizerError, pre_tokenizer::Recipe};
use crate::model::metadata::{KeyError, Metadata, required};

/// Values of `tokenizer.ggml.token_type`.
const TYPE_CONTROL: usize = 3;
const TYPE_USER_DEFINED: usize = 4;
const TYPE_UNUSED: usize = 5;

/// The tokenizer and the chat template that a GGUF file holds.
///
/// # Errors
/// Where the vocabulary is no byte-level BPE, cuts words in a way that is not known here, or is not whole.
pub(crate) fn from_gguf(metadata: Metadata<'_>) -> Result<(Tokenizer, ChatTemplate), TokenizerError> {
    let model = required("tokenizer.ggml.model", metadata.text("tokenizer.ggml.model")?)?;
    if model != "gpt2" {
        let (what, name) = ("tokenizer model", model.to_owned());
        let supported = "gpt2 (byte-level BPE); use the model's Hugging Face folder";
        return Err(TokenizerError::Unsupported { what, name, supported });
    }
    let recipe = Recipe::named(required("tokenizer.ggml.pre", metadata.text("tokenizer.ggml.pre")?)?)?;
    let texts = required("tokenizer.ggml.tokens", metadata.texts("tokenizer.ggml.tokens")?)?;
    let types = metadata.numbers("tokenizer.ggml.token_type")?.unwrap_or_default();
    let type_of = |id: usize| types.get(id).copied().unwrap_or_default();

    // Unused rows only fill the embedding table up; a text that spells their placeholder is no token.
    let used = || texts.iter().enumerate().filter(|&(id, _)| type_of(id) != TYPE_UNUSED);
    let vocab: Vocab = used().map(|(id, text)| ((*text).to_owned(), id as u32)).collect();
    let added = used().filter_map(|(id, text)| match type_of(id) {
        TYPE_CONTROL => Some(AddedToken::from(*text, true)),
        TYPE_USER_DEFINED => Some(AddedToken::from(*text, false).normalized(false)),
        _ => None,
    });

    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges(metadata)?)
        .ignore_merges(recipe.ignore_merges)
        .build()
        .map_err(invalid)?;
    let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::BPE(bpe));
    tokenizer.with_normalizer(recipe.normalizer).map_err(invalid)?;
    tokenizer.with_pre_tokenizer(Some(recipe.pre_tokenizer));
    tokenizer.with_decoder(Some(ByteLevel::new(true, true, true)));
    tokenizer.add_tokens(added).map_err(invalid)?;

    let special_id =
        |key: &str| -> Result<Option<usize>, KeyError> { metadata.number(&format!("tokenizer.ggml.{key}")) };
    let special_text = |key: &str| -> Result<Option<String>, KeyError> {
        Ok(special_id(key)?.and_then(|id| texts.get(id)).map(|text| (*text).to_owned()))
    };
    let special = SpecialTokens {
        bos: special_text("bos_token_id")?,
        eos: special_text("eos_token_id")?,
        unk: special_text("unknown_token_id")?,
        pad: special_text("padding_token_id")?,
    };
    let add_bos = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(recipe.add_bos);
    let add_eos = metadata.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    let bos = special.bos.as_deref().filter(|_| add_bos);
    let eos = special.eos.as_deref().filter(|_| add_eos);
    let post_processor = post_processor(&tokenizer, recipe.post_processor, bos, eos)?;
    tokenizer.with_post_processor(Some(post_processor));

    let mut end_tokens = Vec::new();
    for key in ["eot_token_id", "eom_token_id"] {
        end_tokens.extend(special_id(key)?.map(|id| id as u32));
    }
    let template = ChatTemplate::new(metadata.text("tokenizer.chat_template")?, &special);
    Ok((Tokenizer::new(tokenizer, special, &end_tokens)?, template))
}

fn merges(metadata: Metadata<'_>) -> Result<Vec<(String, String)>, TokenizerError> {
    let lines = required("tokenizer.ggml.merges", metadata.texts("tokenizer.ggml.merges")?)?;
    let pairs = lines.iter().map(|line| {
        let pair = line.split_once(' ').ok_or_else(|| invalid(format!("has the merge {line:?}, which is no pair")))?;
        Ok((pair.0.to_owned(), pair.1.to_owned()))
    });
    pairs.collect()
}

fn post_processor(
    tokenizer: &tokenizers::Tokenizer,
    bytes: PostProcessorWrapper,
    bos: Option<&str>,
    eos: Option<&str>,
) -> Result<PostProcessorWrapper, TokenizerError> {
    if bos.is_none() && eos.is_none() {
        return Ok(bytes);
    }
    let around = |text, sequence: &str| {
        let marked = |token: &str| format!("{token}{sequence}");
        [bos.map(marked), Some(marked(text)), eos.map(marked)].into_iter().flatten().collect::<Vec<_>>()
    };
    let pair = [around("$A", ":0"), around("$B", ":1")].concat();
    let id = |token: &str| tokenizer.token_to_id(token).map(|id| (token.to_owned(), id));
    let template = TemplateProcessing::builder()
        .try_single(around("$A", ":0"))
        .and_then(|builder| builder.try_pair(pair))
        .map_err(invalid)?
        .special_tokens([bos, eos].into_iter().flatten().filter_map(id).collect::<Vec<_>>())
        .build()
        .map_err(invalid)?;
    Ok(Sequence::new(vec![bytes, template.into()]).into())
}

fn invalid(problem: impl ToString) -> TokenizerError {
    TokenizerError::Invalid(problem.to_string())
}

impl From<KeyError> for TokenizerError {
    fn from(error: KeyError) -> Self {
        Self::Invalid(format!("cannot be read from the file's metadata: `{}` {}", error.key, error.problem))
    }
}
