use perennial_types::{Message, Role, TemplateInputs};
use serde_json::{Map, Value as Json};

use super::habits::Habits;
use crate::tokenize::{
    EncodeError, SpecialTokens,
    control::{ControlTokens, Rendered},
    jinja::{Budget, Fault, Program, Value},
};

/// One row's conversation with its template. All its renderings together stay within one budget.
pub(crate) struct Conversation {
    program: Program,
    messages: Vec<Value>,
    roles: Vec<(Role, String)>,
    variables: Vec<(String, Value)>,
    marked: bool,
    budget: Budget,
}

/// Names that a message's thoughts are known by; the first is the one that most templates read.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

impl Conversation {
    pub(super) fn new(
        program: Program,
        special: &SpecialTokens,
        habits: &Habits,
        messages: &[Message],
        inputs: &TemplateInputs,
        control: Option<&ControlTokens>,
    ) -> Self {
        let mut turns: Vec<Json> = messages.iter().map(|message| given(message, habits)).collect();
        let mut inputs = serde_json::json!({
            "tools": inputs.tools,
            "documents": inputs.documents,
            "kwargs": inputs.chat_template_kwargs,
        });
        let control =
            control.filter(|control| turns.iter().any(|turn| control.stand_in(turn)) || control.stand_in(&inputs));
        if let Some(control) = control {
            turns.iter_mut().for_each(|turn| control.mark(turn));
            control.mark(&mut inputs);
        }
        let named = [("bos_token", &special.bos), ("eos_token", &special.eos)];
        let named = named.into_iter().chain([("unk_token", &special.unk), ("pad_token", &special.pad)]);
        let mut variables: Vec<(String, Value)> =
            named.filter_map(|(name, token)| Some((name.to_owned(), Value::str(token.as_deref()?)))).collect();
        variables.extend(special.others.iter().map(|(name, token)| (name.clone(), Value::str(token.as_str()))));
        let kwargs = inputs["kwargs"].as_object().into_iter().flatten();
        variables.extend(kwargs.map(|(name, value)| (name.clone(), Value::from_json(value))));
        variables.extend(["tools", "documents"].map(|name| (name.to_owned(), Value::from_json(&inputs[name]))));
        Self {
            program,
            messages: turns.iter().map(Value::from_json).collect(),
            roles: messages.iter().map(|message| (message.role, message.role_name().to_owned())).collect(),
            variables,
            marked: control.is_some(),
            budget: Budget::of_a_row(),
        }
    }

    /// Whether somebody said a control token.
    pub(crate) fn has_said_control_tokens(&self) -> bool {
        self.marked
    }

    /// Whether the template marks what the model writes.
    pub(crate) fn marks_generation(&self) -> bool {
        self.program.marks_generation
    }

    /// Whether what is left to do should be done in one rendering.
    pub(crate) fn is_costly(&self) -> bool {
        self.budget.is_half_spent()
    }

    /// The first `count` messages as text.
    pub(crate) fn render(&self, count: usize, add_generation_prompt: bool) -> Result<Rendered, EncodeError> {
        let messages = self.messages.get(..count).unwrap_or(&self.messages);
        self.render_these(messages.to_vec(), add_generation_prompt).map_err(|fault| self.refusal(&fault))
    }

    fn render_these(&self, messages: Vec<Value>, add_generation_prompt: bool) -> Result<Rendered, Fault> {
        let mut variables: Vec<(&str, Value)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        variables.push(("messages", Value::list(messages)));
        variables.push(("add_generation_prompt", Value::from_json(&add_generation_prompt.into())));
        let written = self.program.render(variables, &self.budget)?;
        Ok(match self.marked {
            true => Rendered::unmarked(&written.text, &written.generation),
            false => Rendered::plain(written.text, written.generation),
        })
    }

    /// The reason by its name, where it is a role that the template has no place for.
    fn refusal(&self, fault: &Fault) -> EncodeError {
        let reason = fault.to_string();
        if matches!(fault, Fault::Limit(_)) {
            return EncodeError::Template(reason);
        }
        for role in [Role::System, Role::Tool] {
            let turns = self.messages.iter().zip(&self.roles);
            let others: Vec<Value> =
                turns.filter(|(_, (of_turn, _))| *of_turn != role).map(|(turn, _)| turn.clone()).collect();
            let is_there = others.len() < self.messages.len() && !others.is_empty();
            if is_there && self.render_these(others, false).is_ok() {
                let name = self.roles.iter().find(|(of_turn, _)| *of_turn == role).map(|(_, name)| name.clone());
                return EncodeError::RoleRefused { role: name.unwrap_or_default(), reason };
            }
        }
        EncodeError::Template(reason)
    }
}

/// A message as the template sees it: all its fields in their order, and its thoughts under the names that transformers
/// gives them.
fn given(message: &Message, habits: &Habits) -> Json {
    let mut fields: Map<String, Json> =
        message.template_fields().map(|(name, value)| (name.clone(), value.clone())).collect();
    if !habits.reads_parts && fields.get("content").is_some_and(Json::is_array) {
        fields.insert("content".to_owned(), message.content.as_str().into());
    }
    if !habits.reads_string_arguments
        && let Some(calls) = fields.get_mut("tool_calls").and_then(Json::as_array_mut)
    {
        calls.iter_mut().for_each(parse_arguments);
    }
    let thoughts = REASONING.into_iter().find_map(|name| message.fields().get(name).cloned());
    let Some(thoughts) = thoughts else { return Json::Object(fields) };
    let mut aliased = Map::new();
    aliased.insert("thinking".to_owned(), thoughts.clone());
    aliased.extend(fields);
    aliased.insert("reasoning_content".to_owned(), thoughts);
    Json::Object(aliased)
}

/// Arguments of a call as an object, where they are a string that holds one.
fn parse_arguments(call: &mut Json) {
    let of_function = call.get("function").is_some();
    let place = if of_function { "/function/arguments" } else { "/arguments" };
    let Some(arguments) = call.pointer_mut(place) else { return };
    let parsed = arguments.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok());
    if let Some(parsed) = parsed.filter(Json::is_object) {
        *arguments = parsed;
    }
}
