use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::{
    metadata::KeyError,
    model::{
        ModelError,
        json_file::{self, SETTINGS_BYTES_MAX},
    },
    tokenize::SpecialTokens,
};

/// Roles that transformers knows by name (`SPECIAL_TOKENS_ATTRIBUTES`); any other key that ends in `_token` is one of the model's own.
const KNOWN_ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the settings beside a `tokenizer.json` make of it.
pub(super) struct Roles {
    pub(super) special: SpecialTokens,
    /// Tokens that the settings name and `tokenizer.json` does not have, or not so; in the order of their addition.
    pub(super) added: Vec<AddedToken>,
}

/// Reads the settings as transformers 5 does (`PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`): with
/// `added_tokens_decoder` the settings stand alone; without it `special_tokens_map.json` goes before them and `added_tokens.json` adds
/// to them.
pub(super) fn read(
    folder: &Path,
    settings: &Map<String, Value>,
    inner: &tokenizers::Tokenizer,
) -> Result<Roles, ModelError> {
    let settings_path = folder.join("tokenizer_config.json");
    let mut values = settings.clone();
    let mut listed: BTreeMap<u32, AddedToken> = BTreeMap::new();
    if let Some(decoder) = settings.get("added_tokens_decoder") {
        let wrong = || problem(&settings_path, "added_tokens_decoder", "must hold a token for each id");
        for (id, token) in decoder.as_object().ok_or_else(wrong)? {
            let (id, token) = (id.parse().map_err(|_| wrong())?, added_token(token).ok_or_else(wrong)?);
            listed.insert(id, token);
        }
    } else {
        let map = json_file::object(&folder.join("special_tokens_map.json"), SETTINGS_BYTES_MAX)?;
        values.extend(map);
    }
    let extra = extra_tokens(&values);
    let named = named_tokens(&values, &settings_path)?;
    if !settings.contains_key("added_tokens_decoder") {
        let path = folder.join("added_tokens.json");
        for (text, id) in json_file::object(&path, SETTINGS_BYTES_MAX)? {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| problem(&path, &text, "must be the number of a token"))?;
            let special = named.iter().map(|(_, token)| token).chain(&extra).any(|token| token.content == text);
            listed.entry(id).or_insert(AddedToken::from(text, special));
        }
    }
    Ok(Roles { added: to_add(&listed, &named, &extra, inner), special: special(&named) })
}

/// The tokens with a role, those of known roles first, in the order in which transformers has them.
fn named_tokens(values: &Map<String, Value>, path: &Path) -> Result<Vec<(String, AddedToken)>, ModelError> {
    let mut named = Vec::new();
    for role in KNOWN_ROLES {
        let Some(value) = values.get(role).filter(|value| !value.is_null()) else { continue };
        let wrong = || problem(path, role, "must be a token: a text, or an object with `content`");
        named.push((role.to_owned(), token(value).ok_or_else(wrong)?));
    }
    let own = values.iter().filter(|(key, _)| key.ends_with("_token") && !KNOWN_ROLES.contains(&key.as_str()));
    let own_listed = values.get("extra_special_tokens").and_then(Value::as_object);
    named.extend(
        own.chain(own_listed.into_iter().flatten()).filter_map(|(role, value)| Some((role.clone(), token(value)?))),
    );
    Ok(named)
}

/// Special tokens without a role.
fn extra_tokens(values: &Map<String, Value>) -> Vec<AddedToken> {
    let list = |key: &str| values.get(key).and_then(Value::as_array).filter(|tokens| !tokens.is_empty());
    let listed = list("extra_special_tokens").or_else(|| list("additional_special_tokens"));
    listed.into_iter().flatten().filter_map(token).collect()
}

/// What transformers adds to a loaded `tokenizer.json`: listed tokens that it has not exactly so, then those with a role and those
/// without one that are not added tokens yet.
fn to_add(
    listed: &BTreeMap<u32, AddedToken>,
    named: &[(String, AddedToken)],
    extra: &[AddedToken],
    inner: &tokenizers::Tokenizer,
) -> Vec<AddedToken> {
    let vocabulary = inner.get_added_vocabulary();
    let there = |token: &AddedToken| vocabulary.get_vocab().get(&token.content);
    let same = |token: &AddedToken| {
        there(token).is_some_and(|id| vocabulary.get_added_tokens_decoder().get(id) == Some(token))
    };
    let mut added: Vec<AddedToken> = listed.values().filter(|token| !same(token)).cloned().collect();
    for token in &mut added {
        token.special |= named.iter().any(|(_, named)| named.content == token.content);
    }
    for token in named.iter().map(|(_, token)| token).chain(extra) {
        if there(token).is_none() && added.iter().all(|added| added.content != token.content) {
            added.push(token.clone());
        }
    }
    added
}

/// The tokens that chat templates can name: those of known roles.
fn special(named: &[(String, AddedToken)]) -> SpecialTokens {
    let known = named.iter().filter(|(role, _)| KNOWN_ROLES.contains(&role.as_str()));
    let mut roles: BTreeMap<String, String> =
        known.map(|(role, token)| (role.clone(), token.content.clone())).collect();
    SpecialTokens {
        bos: roles.remove("bos_token"),
        eos: roles.remove("eos_token"),
        unk: roles.remove("unk_token"),
        pad: roles.remove("pad_token"),
        others: roles,
    }
}

/// A token with a role stands in the files as a text, or as an object.
fn token(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(text) => Some(AddedToken::from(text.as_str(), true)),
        value => added_token(value).map(|token| token.special(true)),
    }
}

fn added_token(value: &Value) -> Option<AddedToken> {
    #[derive(Deserialize)]
    struct Stored {
        content: String,
        #[serde(default)]
        single_word: bool,
        #[serde(default)]
        lstrip: bool,
        #[serde(default)]
        rstrip: bool,
        normalized: Option<bool>,
        #[serde(default)]
        special: bool,
    }
    let Stored { content, single_word, lstrip, rstrip, normalized, special } = Stored::deserialize(value).ok()?;
    Some(AddedToken { content, single_word, lstrip, rstrip, normalized: normalized.unwrap_or(!special), special })
}

fn problem(path: &Path, key: &str, problem: &str) -> ModelError {
    ModelError::config(path, KeyError::new(key, problem.to_owned()))
}
