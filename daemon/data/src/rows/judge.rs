use perennial_types::{Body, Content, Row, RowError, shortened};

/// The longest reason, in characters: what a row says of itself may stand in it, and the list of the forms that there are.
const REASON_CHARS_MAX: usize = 1000;

/// Reads one line as a row.
///
/// # Errors
/// The reason why it is none, of bounded length.
pub fn judge(line: &[u8], turns_max: usize) -> Result<Row, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8: the byte at column {} is not text", error.valid_up_to() + 1))?;
    let row = Row::parse(text).map_err(|error| match error {
        RowError::NotAnObject("a list") => {
            format!("{error}: put one object on each line, as `jq -c '.[]' FILE` does with a file that is one list")
        }
        RowError::NotAnObject(_) => format!("{error}: put one object on each line"),
        _ => clipped(&error.to_string()),
    })?;
    let turns = turns(&row.body);
    if turns > turns_max {
        return Err(format!("the row has {turns} messages, at most {turns_max} are read (`ingest.turns_max`)"));
    }
    Ok(row)
}

/// The messages of the longest conversation in a row.
fn turns(body: &Body) -> usize {
    let of = |content: &Content| match content {
        Content::Text(_) => 0,
        Content::Messages(messages) => messages.len(),
    };
    match body {
        Body::Messages { messages, .. } => messages.len(),
        Body::PromptCompletion { prompt, completion, .. } => of(prompt) + of(completion),
        Body::Text { .. } => 0,
        Body::Preference { prompt, chosen, rejected, .. } => {
            prompt.as_ref().map_or(0, of) + of(chosen).max(of(rejected))
        }
        Body::PromptOnly { prompt, .. } => of(prompt),
    }
}

/// A reason, cut to a bounded length.
pub(super) fn clipped(reason: &str) -> String {
    shortened(reason, REASON_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_whatever_a_row_says() {
        let name = "n".repeat(100_000);
        for row in [
            serde_json::json!({ name.clone(): 1 }),
            serde_json::json!({"messages": [{"role": name, "content": "a"}]}),
            serde_json::json!({"text": "t", "domain": name}),
        ] {
            let reason = judge(row.to_string().as_bytes(), 9).unwrap_err();
            assert!(reason.chars().count() <= REASON_CHARS_MAX + 1, "{} characters", reason.len());
        }
    }

    #[test]
    fn turns_are_counted_over_prompt_and_answer() {
        let turn = |role: &str| serde_json::json!({"role": role, "content": "a"});
        let pair = vec![turn("user"), turn("assistant")];
        for row in [
            serde_json::json!({ "messages": vec![turn("assistant"); 4] }),
            serde_json::json!({"prompt": pair, "completion": [turn("user"), turn("assistant")]}),
            serde_json::json!({"prompt": vec![turn("user"); 3], "chosen": [turn("assistant")], "rejected": "no"}),
            serde_json::json!({"prompt": vec![turn("user"); 4]}),
        ] {
            let row = row.to_string();
            assert!(judge(row.as_bytes(), 4).is_ok(), "{row}");
            let reason = judge(row.as_bytes(), 3).unwrap_err();
            assert_eq!(reason, "the row has 4 messages, at most 3 are read (`ingest.turns_max`)");
        }
    }
}
