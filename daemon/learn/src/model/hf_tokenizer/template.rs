use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use crate::{
    model::{
        ModelError,
        json_file::{self, TEMPLATE_BYTES_MAX},
    },
    tokenize::{ChatTemplate, SpecialTokens},
};

/// More templates than any folder has.
const TEMPLATES_MAX: usize = 64;
const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// The chat template as transformers 5 finds it: `chat_template.jinja` and the files of `additional_chat_templates/` where there are
/// any, else what the settings hold, one template or a list of named ones. Of named ones, `tool_use` is for conversations with tools.
pub(super) fn read(
    folder: &Path,
    settings: &Map<String, Value>,
    special: &SpecialTokens,
) -> Result<ChatTemplate, ModelError> {
    let mut templates = files(folder)?;
    if templates.is_empty() {
        templates = of_settings(settings);
    }
    let named = |name: &str| templates.get(name).map(String::as_str);
    Ok(ChatTemplate::new(named(DEFAULT), special).for_tools(named(TOOL_USE)))
}

fn files(folder: &Path) -> Result<BTreeMap<String, String>, ModelError> {
    let mut templates = BTreeMap::new();
    let path = folder.join("chat_template.jinja");
    if path.is_file() {
        templates.insert(DEFAULT.to_owned(), json_file::text(&path, TEMPLATE_BYTES_MAX)?);
    }
    let more = folder.join("additional_chat_templates");
    if more.is_dir() {
        for entry in std::fs::read_dir(&more).map_err(ModelError::io(&more))?.take(TEMPLATES_MAX) {
            let path = entry.map_err(ModelError::io(&more))?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|extension| extension == "jinja") {
                templates.insert(name, json_file::text(&path, TEMPLATE_BYTES_MAX)?);
            }
        }
    }
    Ok(templates)
}

fn of_settings(settings: &Map<String, Value>) -> BTreeMap<String, String> {
    let listed = match settings.get("chat_template") {
        Some(Value::String(template)) => return BTreeMap::from([(DEFAULT.to_owned(), template.clone())]),
        Some(Value::Array(listed)) => listed,
        _ => return BTreeMap::new(),
    };
    let text = |template: &Value, key: &str| template.get(key).and_then(Value::as_str).map(str::to_owned);
    listed.iter().filter_map(|template| Some((text(template, "name")?, text(template, "template")?))).collect()
}
