mod inputs;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::{Body, Content, Domain, DomainError, Message, Role, TemplateInputs, json, json::JsonError};

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
    /// `input`, `preferred_output` and `non_preferred_output`). Prompts and answers are strings or lists of messages,
    /// beside which `tools`, `documents` and `chat_template_kwargs` are what the chat template is given besides.
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
        let inputs = inputs::take(object)?;
        if !messages.iter().any(|message| message.role == Role::Assistant) {
            return Ok(Body::PromptOnly { prompt: Content::Messages(messages), inputs });
        }
        return Ok(Body::Messages { messages, inputs });
    }
    if preference {
        let prompt = if has("prompt") { Some(take_content(object, "prompt")?) } else { None };
        let (chosen, rejected) = (take_content(object, "chosen")?, take_content(object, "rejected")?);
        let inputs = take_inputs(object, [prompt.as_ref(), Some(&chosen), Some(&rejected)])?;
        return Ok(Body::Preference { prompt, chosen, rejected, inputs });
    }
    if completion {
        let (prompt, completion) = (take_content(object, "prompt")?, take_content(object, "completion")?);
        if says_nothing(&completion) {
            return Err(field("completion", "is empty: there is nothing to learn"));
        }
        let inputs = take_inputs(object, [Some(&prompt), Some(&completion)])?;
        return Ok(Body::PromptCompletion { prompt, completion, inputs });
    }
    if text {
        let text = take_text(object, "text")?.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(field("text", "is empty: there is nothing to learn"));
        }
        return Ok(Body::Text { text });
    }
    if has("prompt") {
        let prompt = take_content(object, "prompt")?;
        let inputs = take_inputs(object, [Some(&prompt)])?;
        return Ok(Body::PromptOnly { prompt, inputs });
    }
    Err(RowError::Shape(field_names(object)))
}

/// What the template is given, where there are turns for one; plain text has no template, and what stands beside it is
/// metadata.
fn take_inputs<const N: usize>(
    object: &mut Object,
    contents: [Option<&Content>; N],
) -> Result<TemplateInputs, RowError> {
    let chat = contents.into_iter().flatten().any(|content| matches!(content, Content::Messages(_)));
    if chat { inputs::take(object) } else { Ok(TemplateInputs::default()) }
}

/// Whether there is nothing to learn: no text, and no turn with anything but one, such as a call of tools.
fn says_nothing(completion: &Content) -> bool {
    match completion {
        Content::Text(text) => text.is_empty(),
        Content::Messages(turns) => {
            turns.iter().all(|turn| turn.content.is_empty() && turn.fields().contains_key("content"))
                && !turns.iter().any(|turn| turn.fields().contains_key("tool_calls"))
        }
    }
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
    let inputs = inputs::take(&mut input)?;
    Ok(Body::Preference { prompt, chosen, rejected, inputs })
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
    match turn {
        Value::Object(fields) => {
            Message::from_fields(fields).map_err(|error| field(&format!("{place}.{}", error.field), &error.problem))
        }
        other => Err(wrong_type(place, "an object with `role` and `content`", &other)),
    }
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
