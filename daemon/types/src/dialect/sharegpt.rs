//! ShareGPT: `conversations` of turns with `from` and `value`, as Vicuna's data, LLaMA-Factory and axolotl have them.
//!
//! Turns with `role` and `content` are taken too, as TRL takes them. A turn of `function_call` is an assistant's that calls the
//! tools its value names in JSON, and `observation` is a tool's result, as for LLaMA-Factory; so is a `system` beside the
//! conversation its first turn. All assistant turns are learned, but those of `weight` 0 or with `train` false.

use serde_json::{Map, Value, json};

use super::{Dialect, Object, fields, inputs, messages::conversation};
use crate::{Body, Message, Role, RowError};

/// See the module.
pub(super) struct ShareGpt;

/// The speakers by the names that are in use, whatever their letter case.
const SPEAKERS: [(&str, &[&str]); 5] = [
    ("system", &["system"]),
    ("user", &["human", "user"]),
    ("assistant", &["gpt", "assistant", "chatgpt", "model", "bot", "bing", "bard"]),
    ("tool", &["tool", "observation", "function_response"]),
    (CALL, &[CALL]),
];

/// An assistant's turn that is nothing but calls of tools.
const CALL: &str = "function_call";

impl Dialect for ShareGpt {
    fn name(&self) -> &'static str {
        "ShareGPT (`conversations`)"
    }

    fn claims(&self, row: &Object) -> bool {
        fields::has(row, "conversations")
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        if let Some(Value::Array(turns)) = row.get_mut("conversations") {
            for (at, turn) in turns.iter_mut().enumerate() {
                if let Value::Object(turn) = turn {
                    rename(turn, &format!("conversations[{at}]"))?;
                }
            }
        }
        let mut messages = fields::take_messages(row, "conversations")?;
        if let Some(system) = fields::take_text(row, "system")?.filter(|system| !system.is_empty()) {
            if messages.iter().any(|message| message.role == Role::System) {
                return Err(fields::field("system", "is given beside a turn of the system: leave one of them"));
            }
            messages.insert(0, Message::new(Role::System, system));
        }
        Ok(conversation(messages, inputs::take(row)?))
    }
}

/// Gives a turn the names that messages have.
fn rename(turn: &mut Map<String, Value>, place: &str) -> Result<(), RowError> {
    let from = take_either(turn, ["from", "role"], place)?;
    let speaker = from.as_str().and_then(speaker).ok_or_else(|| {
        let known: Vec<&str> = SPEAKERS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        fields::field(&format!("{place}.from"), &format!("is {from}: known are {}", known.join(", ")))
    })?;
    let value = take_either(turn, ["value", "content"], place)?;
    let (role, rest) = match speaker {
        CALL => ("assistant", [("content", json!("")), ("tool_calls", calls(&value, place)?)].to_vec()),
        role if value.is_null() && role != "assistant" => {
            return Err(fields::field(&format!("{place}.value"), "is missing"));
        }
        role => (role, vec![("content", value)]),
    };
    let named = [("role", json!(role))].into_iter().chain(rest).map(|(name, value)| (name.to_owned(), value));
    let others = std::mem::take(turn);
    turn.extend(named.chain(others));
    Ok(())
}

fn speaker(name: &str) -> Option<&'static str> {
    let is_name = |known: &&str| known.eq_ignore_ascii_case(name);
    SPEAKERS.into_iter().find(|(_, names)| names.iter().any(is_name)).map(|(speaker, _)| speaker)
}

/// A turn's field by ShareGPT's name or by that of messages; null where it has neither.
fn take_either(turn: &mut Map<String, Value>, names: [&str; 2], place: &str) -> Result<Value, RowError> {
    let [ours, theirs] = names.map(|name| turn.shift_remove(name).unwrap_or_default());
    if !ours.is_null() && !theirs.is_null() {
        let [name, other] = names;
        return Err(fields::field(
            &format!("{place}.{name}"),
            &format!("is given beside `{other}`: leave one of them"),
        ));
    }
    Ok(if ours.is_null() { theirs } else { ours })
}

/// The calls that a value names: one, or a list of them, each with `name` and `arguments`, as a string of JSON.
fn calls(value: &Value, place: &str) -> Result<Value, RowError> {
    let wrong = || {
        let problem = "must be the JSON of a call, or of a list of calls, with `name` and `arguments`";
        fields::field(&format!("{place}.value"), problem)
    };
    let parsed = match value {
        Value::String(text) => crate::json::parse(text, &[]).map_err(|_| wrong())?,
        other => other.clone(),
    };
    let calls = if let Value::Array(calls) = parsed { calls } else { vec![parsed] };
    if calls.is_empty() || !calls.iter().all(|call| call["name"].is_string() && !call["arguments"].is_null()) {
        return Err(wrong());
    }
    Ok(calls.into_iter().map(|call| json!({"type": "function", "function": call})).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Row};

    fn body(row: Value) -> Body {
        Row::from_value(row).unwrap_or_else(|error| panic!("{error}")).body
    }

    fn refusal(row: Value) -> String {
        Row::from_value(row).unwrap_err().to_string()
    }

    #[test]
    fn a_conversation_is_the_same_sample_as_its_messages() {
        let said = |from: &str, value: &str| json!({"from": from, "value": value});
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let messages = json!({"messages": [turn("system", "s"), turn("user", "q"), turn("assistant", "a")]});
        for turns in [
            json!([said("system", "s"), said("human", "q"), said("gpt", "a")]),
            json!([said("System", "s"), said("user", "q"), said("chatgpt", "a")]),
            json!([turn("system", "s"), turn("human", "q"), {"value": "a", "from": "bard", "markdown": null}]),
        ] {
            assert_eq!(body(json!({"conversations": turns})), body(messages.clone()), "{turns}");
        }
        let beside = json!({"system": "s", "conversations": [said("human", "q"), said("gpt", "a")]});
        assert_eq!(body(beside), body(messages));
        assert_eq!(body(json!({"conversations": [said("human", "q")]})).kind(), Kind::PromptOnly);
        let masked = json!({"conversations": [said("human", "q"), {"from": "gpt", "value": "a", "weight": 0}]});
        let Body::Messages { messages, .. } = body(masked) else { panic!("no conversation") };
        assert!(!messages[1].is_trained_on());
    }

    #[test]
    fn a_call_of_tools_is_an_assistants_and_its_result_a_tools() {
        let call = r#"{"name": "f", "arguments": {"n": 1}}"#;
        let row = json!({"tools": r#"[{"name": "f"}]"#, "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": call},
            {"from": "observation", "value": "1"},
            {"from": "gpt", "value": "one"},
        ]});
        let calls = json!([{"type": "function", "function": {"name": "f", "arguments": {"n": 1}}}]);
        let same = json!({"tools": [{"name": "f"}], "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "content": "1"},
            {"role": "assistant", "content": "one"},
        ]});
        assert_eq!(body(row), body(same));
        for value in [json!("f(1)"), json!("[]"), json!(r#"{"name": "f"}"#), json!(null)] {
            let told = refusal(json!({"conversations": [{"from": "function_call", "value": value}]}));
            assert!(told.starts_with("`conversations[0].value` must be the JSON of a call"), "{told}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let human = json!({"from": "human", "value": "q"});
        let with = |turn: Value| json!({"conversations": [human, turn]});
        let told = refusal(with(json!({"from": "narrator", "value": "x"})));
        assert!(
            told.starts_with(r#"`conversations[1].from` is "narrator": known are system, human, user, gpt"#),
            "{told}"
        );
        assert_eq!(refusal(with(json!({"from": "human"}))), "`conversations[1].value` is missing");
        assert_eq!(refusal(with(json!({"from": "gpt"}))), "`conversations[1].content` is missing");
        let twice = json!({"from": "gpt", "role": "assistant", "value": "a"});
        assert_eq!(refusal(with(twice)), "`conversations[1].from` is given beside `role`: leave one of them");
        let systems = json!({"system": "s", "conversations": [{"from": "system", "value": "t"}, human]});
        assert!(refusal(systems).starts_with("`system` is given beside a turn of the system"));
        assert_eq!(refusal(json!({"conversations": "q"})), "`conversations` must be a list of messages, not a string");
    }
}
