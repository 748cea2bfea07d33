use std::{fs::File, io::Read, ops::ControlFlow, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use perennial_data::rows::{Line, Rows};
use perennial_learn::generate::{Completion, Finish, GenerateOptions};
use perennial_types::{Body, Content, Message, Prompt, Role, Row};
use serde_json::{Map, Value, json};

use super::{output, session::Session, voice::Voice};

/// Rows that are answered together; as many answers are lost where somebody ends the program.
const ROWS_AT_ONCE: usize = 32;

/// A row that has a prompt, as the model reads it.
struct Question {
    line: u64,
    row: Row,
    prompt: Prompt,
    tokens: Vec<u32>,
}

/// What became of the rows of a file.
#[derive(Default)]
struct Told {
    answered: usize,
    left_out: usize,
}

/// Answers the prompt of each row of a file, and prints rows that `ingest` takes: a teacher for another model.
///
/// A row that cannot be answered is named and left out, and so is an answer that was cut off, which teaches to stop anywhere.
///
/// # Errors
/// Where the file cannot be read, or the model fails.
pub(super) fn answer_rows(
    voice: &mut Voice,
    session: &Session,
    file: &Path,
    options: &GenerateOptions,
) -> anyhow::Result<()> {
    let limits = session.config().ingest.file_limits(Arc::default());
    let (mut told, mut questions) = (Told::default(), Vec::new());
    // All of them before the first is answered: reading has a limit of time.
    for line in Rows::read(file.to_string_lossy(), open(file)?, limits)? {
        let asked = match line? {
            Line::Row { line, row } => Question::of(line, *row, voice),
            Line::Rejected(rejected) => Err(format!("row {}: {}", rejected.line, rejected.reason)),
            Line::Fault(fault) => bail!("{}", fault.reason),
        };
        match asked {
            Ok(question) => questions.push(question),
            Err(reason) => told.leave_out(reason),
        }
    }
    while !questions.is_empty() {
        let now = questions.drain(..questions.len().min(ROWS_AT_ONCE)).collect();
        told.answer(voice, now, options)?;
    }
    let Told { answered, left_out } = told;
    output::note(format_args!("{answered} rows answered, {left_out} left out"));
    if answered == 0 {
        bail!("no row of {} was answered", file.display());
    }
    Ok(())
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?))
}

impl Told {
    fn answer(&mut self, voice: &mut Voice, questions: Vec<Question>, options: &GenerateOptions) -> anyhow::Result<()> {
        let Some(first) = questions.first() else { return Ok(()) };
        // By the place of their first row in the file, so that no two rows draw alike.
        let options = GenerateOptions { seed: options.seed.wrapping_add(first.line), ..options.clone() };
        let (rows, prompts): (Vec<_>, Vec<_>) =
            questions.into_iter().map(|Question { line, row, prompt, tokens }| ((line, row, prompt), tokens)).unzip();
        let completions = voice.complete(&prompts, &options, &mut |_, _| ControlFlow::Continue(()))?;
        for ((line, row, prompt), completion) in rows.into_iter().zip(completions) {
            match refused(&completion) {
                Some(reason) => self.leave_out(format!("row {line}: {reason}")),
                None => {
                    self.answered += 1;
                    output::line(Value::Object(answered(row, prompt, completion.text)?));
                }
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, reason: String) {
        self.left_out += 1;
        output::note(reason);
    }
}

impl Question {
    fn of(line: u64, row: Row, voice: &Voice) -> Result<Self, String> {
        let prompt = prompt(&row.body).ok_or_else(|| format!("row {line}: it has no prompt"))?;
        let tokens = voice.encode(&prompt).map_err(|error| format!("row {line}: {error:#}"))?;
        let tokens_max = voice.positions_max() - 1;
        match tokens.len() {
            0 => Err(format!("row {line}: its prompt is empty")),
            tokens if tokens > tokens_max => {
                Err(format!("row {line}: its prompt has {tokens} tokens, and the model takes at most {tokens_max}"))
            }
            _ => Ok(Self { line, row, prompt, tokens }),
        }
    }
}

/// What the model is asked by a row.
fn prompt(body: &Body) -> Option<Prompt> {
    match body {
        Body::PromptOnly { prompt, inputs } | Body::Preference { prompt: Some(prompt), inputs, .. } => {
            Some(Prompt { content: prompt.clone(), inputs: inputs.clone() })
        }
        body => body.question_and_answer().map(|(prompt, _)| prompt),
    }
}

fn refused(completion: &Completion) -> Option<&'static str> {
    match completion.finish {
        Finish::Length => Some("its answer was cut off (`--max-tokens`)"),
        Finish::Interrupted => Some("its answer was broken off"),
        Finish::EndToken | Finish::StopText if completion.text.trim().is_empty() => Some("its answer is empty"),
        Finish::EndToken | Finish::StopText => None,
    }
}

/// The row with this answer in place of its own.
fn answered(row: Row, prompt: Prompt, answer: String) -> anyhow::Result<Map<String, Value>> {
    let mut fields = Map::new();
    match prompt.content {
        Content::Messages(mut messages) => {
            messages.push(Message::new(Role::Assistant, answer));
            fields.insert("messages".to_owned(), serde_json::to_value(messages)?);
        }
        Content::Text(prompt) => {
            fields.insert("prompt".to_owned(), prompt.into());
            fields.insert("completion".to_owned(), answer.into());
        }
    }
    if let Value::Object(inputs) = serde_json::to_value(prompt.inputs)? {
        fields.extend(inputs);
    }
    let texts = [("reference", row.reference), ("id", row.external_id), ("subject", row.subject)];
    let domain = row.domain.map(|domain| ("domain", domain.as_str().to_owned()));
    fields.extend(
        texts
            .into_iter()
            .filter_map(|(key, text)| Some((key, text?)))
            .chain(domain)
            .map(|(key, text)| (key.to_owned(), text.into())),
    );
    if !row.metadata.is_empty() {
        fields.insert("metadata".to_owned(), json!(row.metadata));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Value> {
        let row = Row::parse(line).unwrap();
        let prompt = prompt(&row.body)?;
        let fields = answered(row, prompt, "yes".to_owned()).unwrap();
        assert!(Row::parse(&Value::Object(fields.clone()).to_string()).unwrap().body.kind().is_supervised());
        Some(Value::Object(fields))
    }

    #[test]
    fn an_answer_stands_in_place_of_the_rows_own() {
        let question = json!({"role": "user", "content": "q"});
        let taught = json!({"messages": [question, {"role": "assistant", "content": "yes"}], "domain": "d", "id": "7"});
        let asked = json!({"prompt": [question], "domain": "d", "id": "7"});
        assert_eq!(of(&asked.to_string()).unwrap(), taught);
        let conversation =
            json!({"messages": [question, {"role": "assistant", "content": "no"}], "domain": "d", "id": "7"});
        assert_eq!(of(&conversation.to_string()).unwrap(), taught);
        let plain = json!({"prompt": "q", "completion": "no", "reference": "r", "source": "s"});
        let taught = json!({"prompt": "q", "completion": "yes", "reference": "r", "metadata": {"source": "s"}});
        assert_eq!(of(&plain.to_string()).unwrap(), taught);
        let tools = json!([{"name": "f"}]);
        let preference = json!({"prompt": [question], "chosen": "a", "rejected": "b", "tools": tools});
        assert_eq!(of(&preference.to_string()).map(|row| row["tools"].clone()), Some(tools));
        assert_eq!(of(r#"{"text": "t"}"#), None);
    }

    #[test]
    fn answers_that_teach_nothing_are_left_out() {
        let completion = |finish, text: &str| Completion { tokens: Vec::new(), text: text.to_owned(), finish };
        assert!(refused(&completion(Finish::Length, "and then")).is_some());
        assert!(refused(&completion(Finish::EndToken, " ")).is_some());
        assert!(refused(&completion(Finish::EndToken, "yes")).is_none());
    }
}
