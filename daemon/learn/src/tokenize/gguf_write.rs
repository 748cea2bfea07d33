//! A tokenizer as the metadata of a GGUF file, as llama.cpp's converter writes it (`get_vocab_base` and `SpecialVocab`).

use std::collections::{BTreeMap, BTreeSet};

use candle_core::quantized::gguf_file::Value;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    ChatTemplate, Tokenizer, TokenizerError,
    gguf::{TYPE_CONTROL, TYPE_NORMAL, TYPE_UNUSED, TYPE_USER_DEFINED, WELL_KNOWN_ENDS},
    pre_tokenizer::Recipe,
};

/// Ends of added tokens that llama.cpp's converter takes for control, whatever they are flagged as.
const CONTROL_MARKS: [(&str, &str); 2] = [("<|", "|>"), ("<\u{ff5c}", "\u{ff5c}>")];
/// Where ends of generations go that are neither the eos token nor known to llama.cpp by their texts.
const MORE_ENDS: [&str; 2] = ["eot_token_id", "eom_token_id"];
/// A text in whose tokens those around it show.
const PROBE: &str = "a b";

/// What is read of a `tokenizer.json`.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
    model: Bpe,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

#[derive(Deserialize)]
struct Bpe {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    vocab: BTreeMap<String, u32>,
    #[serde(default)]
    merges: Vec<(String, String)>,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    continuing_subword_prefix: Json,
    #[serde(default)]
    end_of_word_suffix: Json,
}

/// The keys `tokenizer.…` of a model whose embedding table has so many rows.
///
/// # Errors
/// Where llama.cpp would make other tokens of a text, or end elsewhere.
pub(crate) fn to_gguf(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    rows: usize,
) -> Result<Vec<(String, Value)>, TokenizerError> {
    let parts: Parts = serde_json::from_str(&tokenizer.to_json()?)
        .map_err(|error| unsupported("tokenizer model", format!("{error}"), "byte-level BPE"))?;
    let pre = recipe(&parts)?;
    let (tokens, types) = vocabulary(&parts, rows)?;
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let merges = parts.model.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    let mut written = vec![
        ("ggml.model", Value::String("gpt2".to_owned())),
        ("ggml.pre", Value::String(pre.to_owned())),
        ("ggml.tokens", texts(tokens)),
        ("ggml.token_type", Value::Array(types.into_iter().map(Value::I32).collect())),
        ("ggml.merges", texts(merges)),
    ];
    let special = tokenizer.special();
    let id = |text: &Option<String>| text.as_deref().and_then(|text| tokenizer.token_id(text));
    let (bos, eos) = (id(&special.bos), id(&special.eos));
    let roles = [
        ("ggml.bos_token_id", bos),
        ("ggml.eos_token_id", eos),
        ("ggml.unknown_token_id", id(&special.unk)),
        ("ggml.padding_token_id", id(&special.pad)),
    ];
    written.extend(roles.into_iter().filter_map(|(key, id)| Some((key, Value::U32(id?)))));
    let [adds_bos, adds_eos] = around(tokenizer, bos, eos)?;
    written.push(("ggml.add_bos_token", Value::Bool(adds_bos)));
    written.push(("ggml.add_eos_token", Value::Bool(adds_eos)));
    let mut written: Vec<(String, Value)> =
        written.into_iter().map(|(key, value)| (format!("tokenizer.{key}"), value)).collect();
    for (key, id) in more_ends(tokenizer, eos)? {
        written.push((format!("tokenizer.ggml.{key}"), Value::U32(id)));
    }
    if let Some(source) = template.source() {
        written.push(("tokenizer.chat_template".to_owned(), Value::String(source.to_owned())));
    }
    if let Some(source) = template.source_for_tools() {
        written.push(("tokenizer.chat_templates".to_owned(), texts(vec!["tool_use".to_owned()])));
        written.push(("tokenizer.chat_template.tool_use".to_owned(), Value::String(source.to_owned())));
    }
    Ok(written)
}

/// The name that llama.cpp knows this way of cutting words by.
fn recipe(parts: &Parts) -> Result<&'static str, TokenizerError> {
    let model = &parts.model;
    let is_set = |text: &Json| text.as_str().is_some_and(|text| !text.is_empty());
    let is_plain = model.r#type == "BPE"
        && !model.byte_fallback
        && !is_set(&model.continuing_subword_prefix)
        && !is_set(&model.end_of_word_suffix);
    if !is_plain {
        let what = if model.byte_fallback { "BPE with byte fallback".to_owned() } else { model.r#type.clone() };
        return Err(unsupported("tokenizer model", what, "byte-level BPE"));
    }
    for name in Recipe::NAMES {
        let known = Recipe::named(name)?;
        let json = |value: serde_json::Result<Json>| value.map_err(|error| TokenizerError::Invalid(error.to_string()));
        let pre_tokenizer = json(serde_json::to_value(&known.pre_tokenizer))?;
        let normalizer = json(serde_json::to_value(&known.normalizer))?;
        let is_same = canonical(&pre_tokenizer) == canonical(&parts.pre_tokenizer)
            && canonical(&normalizer) == canonical(&parts.normalizer)
            && known.ignore_merges == model.ignore_merges;
        if is_same {
            return Ok(name);
        }
    }
    let what = format!("{} with {}", parts.pre_tokenizer, parts.normalizer);
    Err(unsupported("way of cutting words", what, "the pre-tokenizers smollm, gpt-2, llama-bpe and qwen2"))
}

/// Without what changes no token, and with a sequence of one as that one.
fn canonical(part: &Json) -> Json {
    match part {
        Json::Object(fields) => {
            let only = ["pretokenizers", "normalizers"].iter().find_map(|key| {
                match fields.get(*key)?.as_array()?.as_slice() {
                    [only] => Some(only),
                    _ => None,
                }
            });
            if let Some(only) = only {
                return canonical(only);
            }
            let kept = fields.iter().filter(|(key, _)| *key != "trim_offsets");
            Json::Object(kept.map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// The text and the type of each row.
fn vocabulary(parts: &Parts, rows: usize) -> Result<(Vec<String>, Vec<i32>), TokenizerError> {
    let mut tokens: Vec<(String, usize)> = (0..rows).map(|row| (format!("[PAD{row}]"), TYPE_UNUSED)).collect();
    let mut put = |id: u32, text: &str, kind: usize| match tokens.get_mut(id as usize) {
        Some(place) => {
            *place = (text.to_owned(), kind);
            Ok(())
        }
        None => Err(TokenizerError::NoRow { token: text.to_owned(), id, rows }),
    };
    for (text, id) in &parts.model.vocab {
        put(*id, text, TYPE_NORMAL)?;
    }
    for added in &parts.added_tokens {
        if added.single_word || added.lstrip || added.rstrip {
            let what = format!("{:?}, which is a word by itself or takes the spaces around it", added.content);
            return Err(unsupported("added token", what, "those that are found wherever they stand"));
        }
        let looks_special =
            CONTROL_MARKS.iter().any(|(begin, end)| added.content.starts_with(begin) && added.content.ends_with(end));
        put(added.id, &added.content, if added.special || looks_special { TYPE_CONTROL } else { TYPE_USER_DEFINED })?;
    }
    Ok(tokens.into_iter().map(|(text, kind)| (text, kind as i32)).unzip())
}

/// Whether a text begins with the bos token and ends with the eos token.
fn around(tokenizer: &Tokenizer, bos: Option<u32>, eos: Option<u32>) -> Result<[bool; 2], TokenizerError> {
    let (whole, alone) = (tokenizer.encode(PROBE)?, tokenizer.encode_rendered(PROBE)?);
    let possible = [[false, false], [true, false], [false, true], [true, true]];
    let with = |[begins, ends]: [bool; 2]| {
        let begin = bos.into_iter().filter(|_| begins);
        begin.chain(alone.iter().copied()).chain(eos.into_iter().filter(|_| ends)).collect::<Vec<_>>()
    };
    possible.into_iter().find(|tried| with(*tried) == whole).ok_or_else(|| {
        let what = format!("the tokens {whole:?} for {PROBE:?}");
        unsupported("way of marking texts", what, "a bos token before them and an eos token behind them")
    })
}

/// The ends of generations that need a key.
fn more_ends(tokenizer: &Tokenizer, eos: Option<u32>) -> Result<Vec<(&'static str, u32)>, TokenizerError> {
    let known: BTreeSet<&str> = WELL_KNOWN_ENDS.into();
    let others = tokenizer.ends().iter().filter(|end| Some(end.id) != eos && !known.contains(end.text.as_str()));
    let others: Vec<_> = others.collect();
    if let Some(end) = others.get(MORE_ENDS.len()) {
        return Err(unsupported(
            "end of generations",
            end.to_string(),
            "two besides the eos token and well-known texts",
        ));
    }
    Ok(MORE_ENDS.into_iter().zip(others.iter().map(|end| end.id)).collect())
}

fn unsupported(what: &'static str, name: String, supported: &'static str) -> TokenizerError {
    TokenizerError::Unsupported { what, name, supported }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metadata::Metadata,
        tokenize::{from_gguf, testing},
    };

    #[test]
    fn what_is_written_is_read_back_as_the_same_tokens() {
        let (tokenizer, template) = (testing::byte_tokenizer(), testing::chatml());
        let written = to_gguf(&tokenizer, &template, testing::VOCAB_SIZE + 2).unwrap();
        let metadata: BTreeMap<String, Value> = written.into_iter().collect();
        let (read, read_template) = from_gguf(Metadata(&metadata)).unwrap();
        assert_eq!(read_template.source(), template.source());
        assert_eq!(read.end_tokens(), tokenizer.end_tokens());
        for text in ["he said: 12\n\n  three's!", "<|im_start|>user\nä<|im_end|><|pad|>", "[PAD260]", ""] {
            assert_eq!(read.encode(text).unwrap(), tokenizer.encode(text).unwrap(), "{text:?}");
        }
        assert_eq!(metadata["tokenizer.ggml.pre"].to_string().unwrap(), "gpt-2");
        assert!(!metadata["tokenizer.ggml.add_bos_token"].to_bool().unwrap());
    }

    #[test]
    fn a_vocabulary_beyond_the_table_is_refused_by_its_token() {
        let error = to_gguf(&testing::byte_tokenizer(), &testing::chatml(), 258).unwrap_err().to_string();
        assert!(error.contains("<|pad|>"), "{error}");
    }
}
