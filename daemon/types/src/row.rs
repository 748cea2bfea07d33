use serde_json::{Map, Value};

use crate::{Body, Content, Domain, DomainError, Message, Role, json, json::JsonError};

/// One line of input, judged: what it teaches and what it says of itself. See [`Row::parse`] for the shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it teaches.
    pub body: Body,
    /// The stratum, where the row names one.
    pub domain: Option<Domain>,
    /// The right answer for suites and rewards.
    pub reference: Option<String>,
    /// The sender's own id.
    pub external_id: Option<String>,
    /// Whom the data is about.
    pub subject: Option<String>,
    /// Every field that is none of the above.
    pub metadata: Map<String, Value>,
}

/// Why a line is no sample. The text says what was found and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The line is not JSON, or would not be read as it was written.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The line is JSON, but no object.
    #[error("a row is a JSON object, not {0}")]
    NotAnObject(&'static str),
    /// None of the known shapes.
    #[error(
        "no shape fits: a row has `messages`, or `prompt` and `completion`, or `text`, or `chosen` and `rejected`, or `prompt`; this one has {0}"
    )]
    Shape(String),
    /// Fields of two shapes at once.
    #[error("the shape is ambiguous: {0}")]
    Ambiguous(String),
    /// A field holds something else than it should.
    #[error("`{field}` {problem}")]
    Field {
        /// The field, with its place in a list: `messages[2].role`.
        field: String,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The domain is not a name.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

type Object = Map<String, Value>;

/// Fields that are text: a number in one of them keeps the digits that were written (`1.10`, an id of 39 digits).
const TEXT_FIELDS: [&str; 3] = ["reference", "id", "subject"];

impl Row {
    /// Reads one line in the shapes of TRL's datasets (`messages`; `prompt` and `completion`; `text`; `chosen` and
    /// `rejected`, with or without `prompt`; `prompt` alone) or of OpenAI's fine-tuning files (`messages` with `tools`;
    /// `input`, `preferred_output` and `non_preferred_output`). Prompts and answers are strings or lists of messages.
    /// `domain`, `reference`, `id`, `subject` and `metadata` are optional; any further field joins the metadata.
    ///
    /// A number as `reference`, `id` or `subject` is kept digit by digit. Anywhere else an integer beyond 64 bits is refused,
    /// since it would be rounded; so is a key that is given twice in one object, and nesting beyond
    /// [`NESTING_MAX`](crate::NESTING_MAX).
    ///
    /// # Errors
    /// A [`RowError`] that names the field and says how to mend it.
    pub fn parse(line: &str) -> Result<Self, RowError> {
        Self::from_value(json::parse(line, &TEXT_FIELDS)?)
    }

    /// As [`parse`](Self::parse), from JSON that is already read.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_value(value: Value) -> Result<Self, RowError> {
        let mut object = match value {
            Value::Object(object) => object,
            other => return Err(RowError::NotAnObject(type_name(&other))),
        };
        let body = take_body(&mut object)?;
        let domain = take_text(&mut object, "domain")?.map(|name| Domain::new(&name)).transpose()?;
        let reference = take_scalar(&mut object, "reference");
        let external_id = take_scalar(&mut object, "id");
        let subject = take_scalar(&mut object, "subject");
        let mut metadata = match object.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(Value::Null) | None => Map::new(),
            Some(other) => return Err(wrong_type("metadata", "an object", &other)),
        };
        metadata.extend(object.into_iter().filter(|(_, value)| !value.is_null()));
        Ok(Self { body, domain, reference, external_id, subject, metadata })
    }
}

fn take_body(object: &mut Object) -> Result<Body, RowError> {
    let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    if has("input") && has("preferred_output") {
        return take_openai_preference(object);
    }
    let conversation = has("messages");
    let preference = has("chosen") || has("rejected");
    let completion = has("completion");
    let text = has("text");
    let shapes =
        [("messages", conversation), ("chosen/rejected", preference), ("completion", completion), ("text", text)];
    let found: Vec<&str> = shapes.iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect();
    if found.len() > 1 {
        return Err(RowError::Ambiguous(format!("it has {} at once; leave one of them", found.join(" and "))));
    }
    if conversation {
        let messages = take_messages(object, "messages")?;
        if !messages.iter().any(|message| message.role == Role::Assistant) {
            return Ok(Body::PromptOnly { prompt: Content::Messages(messages) });
        }
        let tools = object.remove("tools").filter(|tools| !tools.is_null());
        return Ok(Body::Messages { messages, tools });
    }
    if preference {
        let prompt = if has("prompt") { Some(take_content(object, "prompt")?) } else { None };
        let (chosen, rejected) = (take_content(object, "chosen")?, take_content(object, "rejected")?);
        return Ok(Body::Preference { prompt, chosen, rejected });
    }
    if completion {
        let (prompt, completion) = (take_content(object, "prompt")?, take_content(object, "completion")?);
        if completion.text().is_empty() {
            return Err(field("completion", "is empty: there is nothing to learn"));
        }
        return Ok(Body::PromptCompletion { prompt, completion });
    }
    if text {
        let text = take_text(object, "text")?.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(field("text", "is empty: there is nothing to learn"));
        }
        return Ok(Body::Text { text });
    }
    if has("prompt") {
        return Ok(Body::PromptOnly { prompt: take_content(object, "prompt")? });
    }
    Err(RowError::Shape(field_names(object)))
}

fn take_openai_preference(object: &mut Object) -> Result<Body, RowError> {
    let mut input = match object.remove("input") {
        Some(Value::Object(input)) => input,
        Some(other) => return Err(wrong_type("input", "an object with `messages`", &other)),
        None => return Err(field("input", "is missing")),
    };
    let prompt = Some(Content::Messages(take_messages(&mut input, "messages")?));
    let chosen = Content::Messages(take_messages(object, "preferred_output")?);
    let rejected = Content::Messages(take_messages(object, "non_preferred_output")?);
    Ok(Body::Preference { prompt, chosen, rejected })
}

fn take_content(object: &mut Object, name: &str) -> Result<Content, RowError> {
    match object.remove(name) {
        Some(Value::String(text)) => Ok(Content::Text(text)),
        Some(Value::Array(turns)) => parse_messages(turns, name).map(Content::Messages),
        Some(Value::Null) | None => Err(field(name, "is missing")),
        Some(other) => Err(wrong_type(name, "a string or a list of messages", &other)),
    }
}

fn take_messages(object: &mut Object, name: &str) -> Result<Vec<Message>, RowError> {
    match object.remove(name) {
        Some(Value::Array(turns)) => parse_messages(turns, name),
        Some(Value::Null) | None => Err(field(name, "is missing")),
        Some(other) => Err(wrong_type(name, "a list of messages", &other)),
    }
}

fn parse_messages(turns: Vec<Value>, name: &str) -> Result<Vec<Message>, RowError> {
    if turns.is_empty() {
        return Err(field(name, "is an empty list: give at least one message"));
    }
    turns.into_iter().enumerate().map(|(at, turn)| parse_message(turn, &format!("{name}[{at}]"))).collect()
}

fn parse_message(turn: Value, place: &str) -> Result<Message, RowError> {
    let mut turn = match turn {
        Value::Object(turn) => turn,
        other => return Err(wrong_type(place, "an object with `role` and `content`", &other)),
    };
    let role = turn.remove("role").unwrap_or(Value::Null);
    let role = serde_json::from_value(role.clone()).map_err(|_| {
        field(&format!("{place}.role"), &format!("is {role}: use \"system\", \"user\", \"assistant\" or \"tool\""))
    })?;
    let tool_calls = turn.remove("tool_calls").filter(|calls| !calls.is_null());
    let content = match turn.remove("content") {
        Some(Value::String(content)) => content,
        Some(Value::Array(parts)) => join_text_parts(parts, place)?,
        Some(Value::Null) | None if tool_calls.is_some() => String::new(),
        Some(Value::Null) | None => return Err(field(&format!("{place}.content"), "is missing")),
        Some(other) => return Err(wrong_type(&format!("{place}.content"), "a string", &other)),
    };
    let weight = match turn.remove("weight") {
        None | Some(Value::Null) => None,
        Some(Value::Number(weight)) => weight.as_f64().map(|weight| weight as f32),
        Some(other) => return Err(wrong_type(&format!("{place}.weight"), "0 or 1", &other)),
    };
    let name = take_text(&mut turn, "name")?;
    let tool_call_id = take_text(&mut turn, "tool_call_id")?;
    Ok(Message { role, content, name, tool_calls, tool_call_id, weight })
}

fn join_text_parts(parts: Vec<Value>, place: &str) -> Result<String, RowError> {
    let mut joined = String::new();
    for (at, part) in parts.iter().enumerate() {
        let text = part.get("text").and_then(Value::as_str).ok_or_else(|| {
            field(&format!("{place}.content[{at}]"), "is not a text part: images and audio cannot be trained on")
        })?;
        joined.push_str(text);
    }
    Ok(joined)
}

fn take_text(object: &mut Object, name: &str) -> Result<Option<String>, RowError> {
    match object.remove(name) {
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Null) | None => Ok(None),
        Some(other) => Err(wrong_type(name, "a string", &other)),
    }
}

/// A string as it is; a number, list or object as its JSON, since ids are often numbers and references often objects.
fn take_scalar(object: &mut Object, name: &str) -> Option<String> {
    match object.remove(name)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn field(name: &str, problem: &str) -> RowError {
    RowError::Field { field: name.to_owned(), problem: problem.to_owned() }
}

fn wrong_type(name: &str, wanted: &str, found: &Value) -> RowError {
    field(name, &format!("must be {wanted}, not {}", type_name(found)))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn field_names(object: &Object) -> String {
    const NAMES_MAX: usize = 8;
    if object.is_empty() {
        return "no fields".to_owned();
    }
    let names: Vec<String> = object.keys().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    let more = if object.len() > NAMES_MAX { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Kind;

    fn kind(line: &str) -> Kind {
        Row::parse(line).unwrap().body.kind()
    }

    fn error(line: &str) -> String {
        Row::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn every_shape_is_known() {
        let turn = r#"[{"role": "user", "content": "q"}]"#;
        let answer = r#"[{"role": "assistant", "content": "a"}]"#;
        assert_eq!(kind(r#"{"messages": [{"role": "assistant", "content": "hi"}]}"#), Kind::Messages);
        assert_eq!(kind(&format!(r#"{{"messages": {turn}}}"#)), Kind::PromptOnly);
        assert_eq!(kind(r#"{"prompt": "p", "completion": "c"}"#), Kind::PromptCompletion);
        assert_eq!(kind(&format!(r#"{{"prompt": {turn}, "completion": {answer}}}"#)), Kind::PromptCompletion);
        assert_eq!(kind(r#"{"text": "t"}"#), Kind::Text);
        assert_eq!(kind(r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#), Kind::Preference);
        assert_eq!(kind(r#"{"prompt": "p"}"#), Kind::PromptOnly);
        let openai = format!(
            r#"{{"input": {{"messages": {turn}}}, "preferred_output": {answer}, "non_preferred_output": {answer}}}"#
        );
        assert_eq!(kind(&openai), Kind::Preference);
    }

    #[test]
    fn unknown_fields_become_metadata() {
        let row = Row::parse(r#"{"text": "t", "answer": "12", "id": 7, "metadata": {"a": 1}, "none": null}"#).unwrap();
        assert_eq!(row.external_id.as_deref(), Some("7"));
        assert_eq!(Value::Object(row.metadata), serde_json::json!({"a": 1, "answer": "12"}));
    }

    #[test]
    fn numbers_keep_their_digits_or_are_refused() {
        let row =
            Row::parse(r#"{"text": "t", "reference": 1.10, "id": 12345678901234567890123, "subject": 1e2}"#).unwrap();
        let kept = [row.reference, row.external_id, row.subject].map(Option::unwrap_or_default);
        assert_eq!(kept, ["1.10", "12345678901234567890123", "1e2"]);
        for (line, place) in [
            (r#"{"text": "t", "n": 12345678901234567890123}"#, "`n` is 12345678901234567890123"),
            (
                r#"{"text": "t", "reference": {"n": [-9223372036854775809]}}"#,
                "`reference.n[0]` is -9223372036854775809",
            ),
            (
                r#"{"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {"n": 99999999999999999999}}}]}]}"#,
                "`messages[0].tool_calls[0].function.arguments.n` is 99999999999999999999",
            ),
        ] {
            assert!(error(line).starts_with(place), "{}", error(line));
        }
    }

    #[test]
    fn key_given_twice_is_refused() {
        let twice = r#"{"messages": [{"role": "assistant", "content": "a"}], "messages": []}"#;
        assert_eq!(error(twice), "the key `messages` is given twice: leave one of them");
    }

    #[test]
    fn content_parts_are_joined_and_tool_calls_need_no_content() {
        let row = Row::parse(
            r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}]}"#,
        )
        .unwrap();
        assert_eq!(row.body.text(), "ab\n");
    }

    #[test]
    fn errors_say_where_and_how_to_mend() {
        assert!(error("{").starts_with("not valid JSON"));
        assert_eq!(error("[1]"), "a row is a JSON object, not a list");
        assert!(error(r#"{"question": "q"}"#).ends_with("this one has `question`"));
        assert_eq!(
            error(r#"{"messages": [{"role": "robot", "content": "x"}]}"#),
            r#"`messages[0].role` is "robot": use "system", "user", "assistant" or "tool""#
        );
        assert_eq!(error(r#"{"prompt": "p", "completion": ""}"#), "`completion` is empty: there is nothing to learn");
        assert_eq!(error(r#"{"chosen": "a"}"#), "`rejected` is missing");
        assert!(error(r#"{"text": "t", "domain": "a/b"}"#).contains("is not a name"));
        assert!(error(r#"{"text": "t", "messages": []}"#).contains("ambiguous"));
    }

    proptest! {
        #[test]
        fn any_line_is_judged_without_panicking(line in ".{0,200}") {
            let _ = Row::parse(&line);
        }

        #[test]
        fn any_text_survives(text in ".*\\S.*") {
            let line = serde_json::json!({ "text": text }).to_string();
            prop_assert_eq!(Row::parse(&line).unwrap().body, Body::Text { text });
        }
    }
}
