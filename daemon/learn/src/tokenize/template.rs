use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind, Value as Jinja, context, value::Kwargs};
use minijinja_contrib::pycompat;
use perennial_types::Message;
use serde::Serialize;
use serde_json::Value;

use super::{EncodeError, SpecialTokens, clock};

/// A model's own chat template (Jinja), or the absence of one. Cloning is cheap.
///
/// Rendered as transformers does (`utils/chat_template_utils.py`): blocks trimmed, Python's string methods, `tojson` as
/// Python writes JSON, `raise_exception`. Only `strftime_now` differs: its date
/// stands still, so that a sample is the same tokens on any day.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: Option<Arc<str>>,
    special: SpecialTokens,
}

impl ChatTemplate {
    /// A template and the special tokens that it may name. `None` for a model without one: every use is then
    /// [`EncodeError::NoChatTemplate`].
    pub fn new(source: Option<&str>, special: &SpecialTokens) -> Self {
        Self { source: source.map(Arc::from), special: special.clone() }
    }

    /// The template as it was read.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The conversation as text; with `add_generation_prompt`, up to where the assistant begins to speak.
    ///
    /// # Errors
    /// [`EncodeError::NoChatTemplate`], or [`EncodeError::Template`] where the template refuses the conversation.
    pub fn render(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        add_generation_prompt: bool,
    ) -> Result<String, EncodeError> {
        let source = self.source.as_deref().ok_or(EncodeError::NoChatTemplate)?;
        let messages: Vec<Value> = messages.iter().map(as_templates_read_it).collect();
        let special = |token: &Option<String>| token.as_ref().map_or(Jinja::UNDEFINED, Jinja::from);
        environment()
            .render_str(
                &without_generation_tags(source),
                context! {
                    messages,
                    tools,
                    add_generation_prompt,
                    bos_token => special(&self.special.bos),
                    eos_token => special(&self.special.eos),
                    unk_token => special(&self.special.unk),
                    pad_token => special(&self.special.pad),
                },
            )
            .map_err(|error| EncodeError::Template(error.to_string()))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", clock::strftime);
    environment.add_filter("tojson", to_json);
    environment
}

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// A message as transformers hands it to a template: without our training weight, and with the arguments of tool calls
/// as objects, where OpenAI's files hold them as strings of JSON.
fn as_templates_read_it(message: &Message) -> Value {
    let mut turn = serde_json::Map::new();
    turn.insert("role".to_owned(), message.role.as_str().into());
    turn.insert("content".to_owned(), message.content.as_str().into());
    if let Some(name) = &message.name {
        turn.insert("name".to_owned(), name.as_str().into());
    }
    if let Some(calls) = &message.tool_calls {
        let mut calls = calls.clone();
        calls.as_array_mut().into_iter().flatten().for_each(parse_arguments);
        turn.insert("tool_calls".to_owned(), calls);
    }
    if let Some(call) = &message.tool_call_id {
        turn.insert("tool_call_id".to_owned(), call.as_str().into());
    }
    Value::Object(turn)
}

fn parse_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    let parsed = arguments.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(parsed) = parsed.filter(Value::is_object) {
        *arguments = parsed;
    }
}

/// `{% generation %}` marks assistant turns for TRL and renders as what is inside it. Here a block that is always taken
/// stands in for it, which treats the blanks around it alike.
fn without_generation_tags(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{%") {
        let Some((tag, after)) = after.split_once("%}") else { break };
        let keyword = tag.trim_matches(['-', '+']).trim();
        let stand_in = match keyword {
            "generation" => tag.replace("generation", "if true"),
            "endgeneration" => tag.replace("endgeneration", "endif"),
            _ => tag.to_owned(),
        };
        result.extend([before, "{%", &stand_in, "%}"]);
        rest = after;
    }
    result.push_str(rest);
    result
}

/// transformers' `tojson`: `json.dumps(value, ensure_ascii=False, indent=indent)`, without Jinja's HTML escapes.
fn to_json(value: &Jinja, options: Kwargs) -> Result<Jinja, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let mut bytes = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent);
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, PythonFormatter)),
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Jinja::from_safe_string(String::from_utf8_lossy(&bytes).into_owned()))
}

/// JSON with Python's blanks: `{"a": 1, "b": [2, 3]}`.
struct PythonFormatter;

impl serde_json::ser::Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Role;
    use serde_json::json;

    use super::*;

    fn render(source: &str, messages: &[Message]) -> Result<String, EncodeError> {
        let special = SpecialTokens { bos: Some("<s>".to_owned()), ..SpecialTokens::default() };
        ChatTemplate::new(Some(source), &special).render(messages, None, true)
    }

    fn user(content: &str) -> Message {
        Message::new(Role::User, content)
    }

    #[test]
    fn blocks_are_trimmed_as_transformers_does() {
        let source =
            "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content }};\n  {% endif %}\n{% endfor %}\n";
        assert_eq!(render(source, &[user("a"), user("b")]).unwrap(), "a;\nb;\n");
    }

    #[test]
    fn python_methods_slices_and_special_tokens_work() {
        let source = "{{ bos_token }}{{ eos_token }}{% for m in messages[::-1] %}{{ m['content'].strip().split('-')[1:] \
                      | join('/') }}{% endfor %}{% if messages[0].content.startswith(' ') %}!{% endif %}";
        assert_eq!(render(source, &[user(" a-b-c ")]).unwrap(), "<s>b/c!");
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let mut message = user("<é>");
        message.tool_calls = Some(json!([{"function": {"name": "f", "arguments": "{\"x\": [1, 2.5], \"y\": {}}"}}]));
        message.weight = Some(0.0);
        assert_eq!(
            render("{{ messages[0] | tojson }}", &[message.clone()]).unwrap(),
            r#"{"role": "user", "content": "<é>", "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, 2.5], "y": {}}}}]}"#
        );
        assert_eq!(
            render("{{ messages[0].tool_calls[0].function.arguments | tojson(indent=4) }}", &[message]).unwrap(),
            "{\n    \"x\": [\n        1,\n        2.5\n    ],\n    \"y\": {}\n}"
        );
    }

    #[test]
    fn generation_tags_render_what_is_inside() {
        let source =
            "{% for m in messages %}\n{%- generation -%}\n {{ m.content }}\n{%- endgeneration %}\n.\n{% endfor %}";
        assert_eq!(render(source, &[user("a")]).unwrap(), "a.\n");
    }

    #[test]
    fn a_refusal_names_its_reason() {
        let error = render("{{ raise_exception('roles must alternate') }}", &[user("a")]).unwrap_err();
        assert!(error.to_string().contains("roles must alternate"), "{error}");
        let absent = ChatTemplate::new(None, &SpecialTokens::default());
        assert_eq!(absent.render(&[user("a")], None, false), Err(EncodeError::NoChatTemplate));
    }
}
