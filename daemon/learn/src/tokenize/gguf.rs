use std::collections::{BTreeMap, BTreeSet};

use tokenizers::{
    AddedToken, ModelWrapper, PostProcessorWrapper,
    decoders::byte_level::ByteLevel,
    models::bpe::{BPE, Vocab},
    processors::{sequence::Sequence, template::TemplateProcessing},
};

use super::{ChatTemplate, EndReason, SpecialTokens, Tokenizer, TokenizerError, pre_tokenizer::Recipe};
use crate::metadata::{KeyError, Metadata, required};

/// Values of `tokenizer.ggml.token_type`.
pub(super) const TYPE_NORMAL: usize = 1;
pub(super) const TYPE_CONTROL: usize = 3;
pub(super) const TYPE_USER_DEFINED: usize = 4;
pub(super) const TYPE_UNUSED: usize = 5;

/// Texts with which published models end a turn or a generation. Few converters write the key for it, so llama.cpp goes by these
/// texts too, and so do we (`src/llama-vocab.cpp`, the ids that end a generation).
pub(super) const WELL_KNOWN_ENDS: [&str; 21] = [
    "<|eot_id|>",
    "<|im_end|>",
    HARMONY_END,
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "[e~[",
];
/// It ends a message among several of one turn where the vocabulary has ends of turns of its own.
const HARMONY_END: &str = "<|end|>";
const HARMONY_TURN_ENDS: [[&str; 2]; 3] =
    [["<|return|>", "<|call|>"], ["<|flush|>", "<|calls|>"], ["<|flush|>", "<|call|>"]];

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
    if !types.is_empty() && types.len() < texts.len() {
        return Err(invalid(format!("has the types of {} tokens, but {} tokens", types.len(), texts.len())));
    }
    let ids: BTreeMap<&str, u32> = texts.iter().copied().zip(0..).collect();
    if ids.len() < texts.len() {
        return Err(invalid("has the same token twice"));
    }
    let well_known = well_known_ends(&ids);
    let type_of = |id: usize| match well_known.contains(&(id as u32)) {
        true => TYPE_CONTROL,
        false => types.get(id).copied().unwrap_or_default(),
    };

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
        let Some(id) = special_id(key)? else { return Ok(None) };
        let problem = || {
            KeyError::new(&format!("tokenizer.ggml.{key}"), format!("is {id}, but there are {} tokens", texts.len()))
        };
        texts.get(id).map(|text| Some((*text).to_owned())).ok_or_else(problem)
    };
    let special = SpecialTokens {
        bos: special_text("bos_token_id")?,
        eos: special_text("eos_token_id")?,
        unk: special_text("unknown_token_id")?,
        pad: special_text("padding_token_id")?,
        others: BTreeMap::new(),
    };
    let add_bos = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(recipe.add_bos);
    let add_eos = metadata.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    let bos = special.bos.as_deref().filter(|_| add_bos);
    let eos = special.eos.as_deref().filter(|_| add_eos);
    let post_processor = post_processor(&tokenizer, recipe.post_processor, bos, eos)?;
    tokenizer.with_post_processor(Some(post_processor));

    let mut ends: Vec<(u32, EndReason)> = Vec::new();
    for key in ["eot_token_id", "eom_token_id"] {
        let id = special_id(key)?.and_then(|id| u32::try_from(id).ok());
        ends.extend(id.map(|id| (id, EndReason::Key(key))));
    }
    ends.extend(well_known.into_iter().map(|id| (id, EndReason::WellKnown)));
    let template = ChatTemplate::new(metadata.text("tokenizer.chat_template")?, &special)
        .for_tools(metadata.text("tokenizer.chat_template.tool_use")?);
    Ok((Tokenizer::new(tokenizer, special, &ends)?, template))
}

fn well_known_ends(ids: &BTreeMap<&str, u32>) -> BTreeSet<u32> {
    let has_turn_ends = HARMONY_TURN_ENDS.iter().any(|both| both.iter().all(|text| ids.contains_key(text)));
    let texts = WELL_KNOWN_ENDS.iter().filter(|text| **text != HARMONY_END || !has_turn_ends);
    texts.filter_map(|text| ids.get(text)).copied().collect()
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
