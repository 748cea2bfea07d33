//! What a row gives its chat template besides the messages.

use serde_json::{Map, Value};

use super::{
    Object,
    fields::{field, type_name, wrong_type},
};
use crate::{Content, RowError, TemplateInputs, json};

/// Arguments of transformers' `apply_chat_template` itself: in `chat_template_kwargs` they would change what is done, or
/// be given twice.
const RESERVED: [&str; 11] = [
    "messages",
    "conversation",
    "tools",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "tokenize",
    "return_tensors",
    "return_dict",
    "return_assistant_tokens_mask",
    "tokenizer_kwargs",
];

/// Takes `tools`, `documents` and `chat_template_kwargs` out of a row of messages.
pub(super) fn take(object: &mut Object) -> Result<TemplateInputs, RowError> {
    if object.get("functions").and_then(Value::as_array).is_some_and(|functions| !functions.is_empty()) {
        return Err(field("functions", "is OpenAI's former name: give `tools`"));
    }
    let tools = take_objects(object, "tools")?;
    let documents = take_objects(object, "documents")?;
    let chat_template_kwargs = match object.remove("chat_template_kwargs") {
        Some(Value::Object(kwargs)) => kwargs,
        Some(Value::Null) | None => Map::new(),
        Some(other) => return Err(wrong_type("chat_template_kwargs", "an object", &other)),
    };
    if let Some(name) = RESERVED.into_iter().find(|name| chat_template_kwargs.contains_key(*name)) {
        return Err(field(&format!("chat_template_kwargs.{name}"), "is no variable of a template's own: leave it out"));
    }
    Ok(TemplateInputs { tools, documents, chat_template_kwargs })
}

/// As [`take`] where there are turns for a template; plain text has none, and what stands beside it is metadata.
pub(super) fn take_beside<const N: usize>(
    object: &mut Object,
    contents: [&Content; N],
) -> Result<TemplateInputs, RowError> {
    let chat = contents.into_iter().any(|content| matches!(content, Content::Messages(_)));
    if chat { take(object) } else { Ok(TemplateInputs::default()) }
}

/// A list of objects, or a string of JSON that holds one, as Arrow's columns keep lists of differing objects. An empty
/// list is none, as for TRL: templates tell the two apart.
fn take_objects(object: &mut Object, name: &str) -> Result<Option<Value>, RowError> {
    let value = match object.remove(name) {
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => json::parse(&text, &[])
            .map_err(|error| field(name, &format!("is a string that is not the JSON of a list: {error}")))?,
        Some(value) => value,
        None => return Ok(None),
    };
    match value {
        Value::Null => Ok(None),
        Value::Array(items) if items.is_empty() => Ok(None),
        Value::Array(items) => match items.iter().position(|item| !item.is_object()) {
            Some(at) => Err(wrong_type(&format!("{name}[{at}]"), "an object", &items[at])),
            None => Ok(Some(Value::Array(items))),
        },
        other => Err(field(name, &format!("must be a list of objects, not {}", type_name(&other)))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Body, Row, TemplateInputs};

    fn inputs(row: &serde_json::Value) -> TemplateInputs {
        match Row::parse(&row.to_string()).unwrap().body {
            Body::Messages { inputs, .. }
            | Body::PromptCompletion { inputs, .. }
            | Body::Preference { inputs, .. }
            | Body::PromptOnly { inputs, .. } => inputs,
            Body::Text { .. } => TemplateInputs::default(),
        }
    }

    #[test]
    fn every_shape_of_messages_keeps_its_tools() {
        let turn = json!([{"role": "user", "content": "q"}]);
        let answer = json!([{"role": "assistant", "content": "a"}]);
        let tools = json!([{"type": "function", "function": {"name": "f"}}]);
        let all = |mut row: serde_json::Value| {
            row["tools"] = tools.clone();
            row["chat_template_kwargs"] = json!({"enable_thinking": false});
            let inputs = inputs(&row);
            assert_eq!(inputs.tools.as_ref(), Some(&tools), "{row}");
            assert_eq!(inputs.chat_template_kwargs["enable_thinking"], false, "{row}");
        };
        all(json!({"messages": [turn[0], answer[0]]}));
        all(json!({"messages": turn}));
        all(json!({"prompt": turn, "completion": answer}));
        all(json!({"prompt": turn, "completion": "a"}));
        all(json!({"prompt": turn}));
        all(json!({"prompt": turn, "chosen": answer, "rejected": answer}));
        let openai = json!({"input": {"messages": turn, "tools": tools}, "preferred_output": answer,
                            "non_preferred_output": answer});
        assert_eq!(inputs(&openai).tools, Some(tools));
    }

    #[test]
    fn an_empty_list_is_none_and_a_string_of_json_is_parsed() {
        let row = |tools: serde_json::Value| json!({"messages": [{"role": "user", "content": "q"}], "tools": tools});
        for none in [json!(null), json!([]), json!("[]"), json!(""), json!("null")] {
            assert_eq!(inputs(&row(none.clone())), TemplateInputs::default(), "{none}");
        }
        assert_eq!(inputs(&row(json!(r#"[{"name": "f"}]"#))).tools, Some(json!([{"name": "f"}])));
        for refused in [json!("f"), json!("{}"), json!({"name": "f"}), json!(["f"]), json!(1)] {
            let error = Row::parse(&row(refused.clone()).to_string()).unwrap_err().to_string();
            assert!(error.starts_with("`tools"), "{refused}: {error}");
        }
    }

    #[test]
    fn what_would_change_the_rendering_itself_is_refused() {
        let row =
            |name: &str| json!({"messages": [{"role": "user", "content": "q"}], "chat_template_kwargs": {name: 1}});
        assert!(Row::parse(&row("thinking").to_string()).is_ok());
        let error = Row::parse(&row("add_generation_prompt").to_string()).unwrap_err().to_string();
        assert!(error.contains("chat_template_kwargs.add_generation_prompt"), "{error}");
        let former = r#"{"messages": [{"role": "user", "content": "q"}], "functions": [{"name": "f"}]}"#;
        assert!(Row::parse(former).unwrap_err().to_string().contains("give `tools`"));
    }

    #[test]
    fn a_text_has_no_template_and_keeps_what_it_has_as_metadata() {
        let row = Row::parse(r#"{"prompt": "p", "completion": "c", "tools": [{"name": "f"}]}"#).unwrap();
        assert!(row.metadata.contains_key("tools"));
    }
}
