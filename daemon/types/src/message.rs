use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// Who speaks in a chat turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation (OpenAI's `developer` is one too).
    #[serde(alias = "developer")]
    System,
    /// The person or program that asks.
    User,
    /// The model: the turns that are trained on.
    Assistant,
    /// The result of a tool call (OpenAI's former `function` is one too).
    #[serde(alias = "function")]
    Tool,
}

impl Role {
    /// The name that chat templates know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a chat: what we read of it, and all its fields as the row has them, for chat templates.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Message {
    /// Who says it: system, user, assistant or tool.
    pub role: Role,
    /// What is said: text parts joined by line breaks, as vLLM joins them; empty where an assistant turn only calls tools or thinks.
    pub content: String,
    fields: Map<String, Value>,
}

/// Why an object is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct MessageError {
    /// The field, with its place in a list: `content[1]`.
    pub field: String,
    /// What is wrong, as the rest of a sentence.
    pub problem: String,
}

/// Say for training whether a turn is learned from: OpenAI's, axolotl's, and another spelling of axolotl's. They are no
/// part of what was said, so templates do not see them.
const WEIGHT: &str = "weight";
const TRAIN_FLAGS: [&str; 2] = ["train", "training"];

/// What an assistant turn may hold in place of a content.
const STANDS_FOR_CONTENT: [&str; 5] = ["tool_calls", "function_call", "reasoning_content", "thinking", "reasoning"];

impl Message {
    /// A plain turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        let content = content.into();
        let mut fields = Map::new();
        fields.insert("role".to_owned(), role.as_str().into());
        fields.insert("content".to_owned(), content.as_str().into());
        Self { role, content, fields }
    }

    /// A turn from its fields, in their order. Fields that are null are left out, as transformers leaves them out.
    ///
    /// # Errors
    /// [`MessageError`], which names the field and says how to mend it.
    pub fn from_fields(mut fields: Map<String, Value>) -> Result<Self, MessageError> {
        fields.retain(|_, value| !value.is_null());
        let role = fields.get("role").cloned().unwrap_or_default();
        let role = Role::deserialize(&role)
            .map_err(|_| error("role", format!("is {role}: use \"system\", \"user\", \"assistant\" or \"tool\"")))?;
        if let Some(calls) = fields.get("tool_calls")
            && !calls.as_array().is_some_and(|calls| calls.iter().all(Value::is_object))
        {
            return Err(error("tool_calls", "must be a list of objects"));
        }
        check_training_flags(&fields)?;
        let stands_for_content = || STANDS_FOR_CONTENT.iter().any(|name| fields.contains_key(*name));
        let content = match fields.get("content") {
            Some(Value::String(content)) => content.clone(),
            Some(Value::Array(parts)) => join_text_parts(parts)?,
            None if role == Role::Assistant && stands_for_content() => String::new(),
            None => return Err(error("content", "is missing")),
            Some(_) => return Err(error("content", "must be a string or a list of text parts")),
        };
        Ok(Self { role, content, fields })
    }

    /// All fields as the row has them, in their order.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The fields that say what was said: all but those that say whether the turn is trained on.
    pub fn template_fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter().filter(|(name, _)| *name != WEIGHT && !TRAIN_FLAGS.contains(&name.as_str()))
    }

    /// The role as the row names it, which is what chat templates see: `developer` stays `developer`.
    pub fn role_name(&self) -> &str {
        self.fields.get("role").and_then(Value::as_str).unwrap_or(self.role.as_str())
    }

    /// Whether the loss looks at this turn: an assistant's, unless its `weight` is 0 or its `train` is false.
    pub fn is_trained_on(&self) -> bool {
        let weight = self.fields.get(WEIGHT).and_then(Value::as_f64);
        let off = |flag: &str| self.fields.get(flag) == Some(&Value::Bool(false));
        self.role == Role::Assistant && weight != Some(0.0) && !TRAIN_FLAGS.iter().any(|flag| off(flag))
    }
}

fn check_training_flags(fields: &Map<String, Value>) -> Result<(), MessageError> {
    if let Some(weight) = fields.get(WEIGHT)
        && !weight.as_f64().is_some_and(|weight| weight == 0.0 || weight == 1.0)
    {
        return Err(error(WEIGHT, "must be 0 or 1"));
    }
    for flag in TRAIN_FLAGS {
        if fields.get(flag).is_some_and(|value| !value.is_boolean()) {
            return Err(error(flag, "must be true or false"));
        }
    }
    if fields.contains_key("train_detail") {
        return Err(error("train_detail", "is not supported: a turn is trained on as a whole, or not (`train`)"));
    }
    Ok(())
}

fn join_text_parts(parts: &[Value]) -> Result<String, MessageError> {
    let text = |(at, part): (usize, &Value)| {
        part.get("text")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| error(format!("content[{at}]"), "is not a text part: images and audio cannot be trained on"))
    };
    let texts = parts.iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.join("\n"))
}

fn error(field: impl Into<String>, problem: impl Into<String>) -> MessageError {
    MessageError { field: field.into(), problem: problem.into() }
}

impl TryFrom<Map<String, Value>> for Message {
    type Error = MessageError;

    fn try_from(fields: Map<String, Value>) -> Result<Self, MessageError> {
        Self::from_fields(fields)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

/// A prompt or a completion: plain text that is tokenized as it stands, or turns for the model's chat template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text, without a chat template.
    Text(String),
    /// Turns of a chat.
    Messages(Vec<Message>),
}

impl Content {
    /// What is said, without who says it: the text itself, or the contents of the turns, a line break between them.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Messages(messages) => text_of(messages),
        }
    }
}

/// The contents of turns, a line break between them.
pub(crate) fn text_of(messages: &[Message]) -> String {
    messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
}

/// The turns before the last of the assistant's; all of them where it has none.
pub(crate) fn before_last_answer(messages: &[Message]) -> &[Message] {
    let answer = messages.iter().rposition(|message| message.role == Role::Assistant);
    messages.get(..answer.unwrap_or(messages.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(fields: Value) -> Result<Message, MessageError> {
        serde_json::from_value::<Map<String, Value>>(fields).map(Message::from_fields).unwrap()
    }

    #[test]
    fn all_fields_are_kept_in_their_order_but_nulls() {
        let fields = json!({"content": "a", "reasoning_content": "r", "role": "developer", "refusal": null, "z": [1]});
        let message = message(fields).unwrap();
        assert_eq!((message.role, message.role_name()), (Role::System, "developer"));
        let written = serde_json::to_string(&message).unwrap();
        assert_eq!(written, r#"{"content":"a","reasoning_content":"r","role":"developer","z":[1]}"#);
        assert_eq!(serde_json::from_str::<Message>(&written).unwrap(), message);
    }

    #[test]
    fn a_plain_turn_is_written_as_it_was_before_fields_were_kept() {
        let written = serde_json::to_string(&Message::new(Role::User, "q")).unwrap();
        assert_eq!(written, r#"{"role":"user","content":"q"}"#);
    }

    #[test]
    fn weights_and_flags_mask_a_turn_and_templates_do_not_see_them() {
        let turn = |extra: &str| {
            let line = format!(r#"{{"role": "assistant", "content": "a"{extra}}}"#);
            serde_json::from_str::<Message>(&line)
        };
        for trained in ["", r#", "weight": 1"#, r#", "train": true"#, r#", "train": null"#] {
            assert!(turn(trained).unwrap().is_trained_on(), "{trained}");
        }
        for masked in [r#", "weight": 0"#, r#", "weight": 0.0"#, r#", "train": false"#, r#", "training": false"#] {
            let turn = turn(masked).unwrap();
            assert!(!turn.is_trained_on(), "{masked}");
            assert_eq!(turn.template_fields().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["role", "content"]);
        }
        for refused in [r#", "weight": 0.5"#, r#", "train": "no""#, r#", "train_detail": []"#] {
            assert!(turn(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_content_may_be_missing_only_where_something_stands_for_it() {
        let calls = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]});
        assert_eq!(message(calls).unwrap().content, "");
        assert!(message(json!({"role": "assistant", "thinking": "hm"})).is_ok());
        for fields in [
            json!({"role": "user"}),
            json!({"role": "assistant", "refusal": "no"}),
            json!({"role": "assistant", "audio": {"id": "1"}}),
            json!({"role": "assistant", "tool_calls": "[]"}),
        ] {
            assert!(message(fields.clone()).is_err(), "{fields}");
        }
    }
}
