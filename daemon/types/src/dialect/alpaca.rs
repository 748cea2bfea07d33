//! Alpaca: `instruction`, `input` and `output`.
//!
//! The prompt is the instruction and, where there is one, the input on the next line, and the completion is the output: strings
//! that are rendered as any other string prompt. That is what LLaMA-Factory makes of such a row, and what production asks when
//! it serves a chat model. Stanford's text around it ("Below is an instruction that describes a task…"), which axolotl's
//! `alpaca` and torchtune add, is not added, and TRL reads no such rows: who serves with that text gives `prompt` and
//! `completion` with it written out.
//!
//! LLaMA-Factory's further fields mean what they mean there: `system` is a system turn, `history` is earlier pairs of question
//! and answer, which are learned too, and `tools` are offered. With any of them the row is a conversation.

use serde_json::Value;

use super::{Dialect, Object, fields, inputs};
use crate::{Body, Content, Message, Role, RowError};

/// See the module.
pub(super) struct Alpaca;

impl Dialect for Alpaca {
    fn name(&self) -> &'static str {
        "Alpaca (`instruction`, `input`, `output`)"
    }

    fn claims(&self, row: &Object) -> bool {
        fields::has(row, "instruction") && fields::has(row, "output")
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let mut text = |name| Ok::<_, RowError>(fields::take_text(row, name)?.filter(|text| !text.is_empty()));
        let asked: Vec<String> = [text("instruction")?, text("input")?].into_iter().flatten().collect();
        let (output, system) = (text("output")?, text("system")?);
        if asked.is_empty() {
            return Err(fields::field("instruction", "is empty: there is nothing to ask"));
        }
        let output = output.ok_or_else(|| fields::nothing_to_learn("output"))?;
        let (history, inputs) = (take_history(row)?, inputs::take(row)?);
        let prompt = asked.join("\n");
        if system.is_none() && history.is_empty() && inputs.is_empty() {
            return Ok(Body::PromptCompletion {
                prompt: Content::Text(prompt),
                completion: Content::Text(output),
                inputs,
            });
        }
        let mut messages: Vec<Message> = system.map(|system| Message::new(Role::System, system)).into_iter().collect();
        for (question, answer) in history.into_iter().chain([(prompt, output)]) {
            messages.extend([Message::new(Role::User, question), Message::new(Role::Assistant, answer)]);
        }
        Ok(Body::Messages { messages, inputs })
    }
}

/// Earlier questions with their answers.
fn take_history(row: &mut Object) -> Result<Vec<(String, String)>, RowError> {
    let pairs = match row.remove("history") {
        Some(Value::Array(pairs)) => pairs,
        Some(Value::Null) | None => return Ok(Vec::new()),
        Some(other) => return Err(fields::wrong_type("history", "a list of pairs of question and answer", &other)),
    };
    let pair = |(at, pair): (usize, &Value)| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(question), Value::String(answer)]) => Ok((question.clone(), answer.clone())),
        _ => Err(fields::wrong_type(&format!("history[{at}]"), "a question and its answer, two strings", pair)),
    };
    pairs.iter().enumerate().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Row;

    fn body(row: &Value) -> Body {
        Row::from_value(row.clone()).unwrap().body
    }

    #[test]
    fn instruction_and_input_are_the_prompt_and_a_plain_row_is_the_same_sample_as_prompt_and_completion() {
        let alpaca = |input: Value| body(&json!({"instruction": "Translate.", "input": input, "output": "un chat"}));
        let plain = |prompt: &str| body(&json!({"prompt": prompt, "completion": "un chat"}));
        assert_eq!(alpaca(json!("a cat")), plain("Translate.\na cat"));
        for none in [json!(""), json!(null)] {
            assert_eq!(alpaca(none), plain("Translate."));
        }
        assert_eq!(body(&json!({"instruction": "", "input": "a cat", "output": "un chat"})), plain("a cat"));
    }

    #[test]
    fn system_history_and_tools_make_it_a_conversation() {
        let row = json!({"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]});
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let turns = [turn("system", "s"), turn("user", "a"), turn("assistant", "b"), turn("user", "c")];
        let turns = [&turns[..], &[turn("assistant", "d")]].concat();
        assert_eq!(body(&row), body(&json!({"messages": turns})));
        let tools = json!([{"name": "f"}]);
        let pair = [turn("user", "c"), turn("assistant", "d")];
        let offered = json!({"instruction": "c", "output": "d", "tools": tools.to_string(), "history": []});
        assert_eq!(body(&offered), body(&json!({"messages": pair, "tools": tools})));
    }

    #[test]
    fn what_is_wrong_is_told_by_the_field() {
        for (row, told) in [
            (json!({"instruction": "q", "output": ""}), "`output` is empty: there is nothing to learn"),
            (
                json!({"instruction": "", "input": null, "output": "a"}),
                "`instruction` is empty: there is nothing to ask",
            ),
            (json!({"instruction": "q", "output": ["a", "b"]}), "`output` must be a string, not a list"),
            (
                json!({"instruction": "q", "output": "a", "history": [["b"]]}),
                "`history[0]` must be a question and its answer, two strings, not a list",
            ),
        ] {
            assert_eq!(Row::from_value(row).unwrap_err().to_string(), told);
        }
        let rendered = json!({"instruction": "q", "output": "a", "text": "Below is an instruction"});
        assert!(Row::from_value(rendered).unwrap_err().to_string().ends_with("leave the fields of one"));
    }
}
