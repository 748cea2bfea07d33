use std::{collections::BTreeSet, fs};

use perennial_types::{Body, Content, Row};

use crate::{config, failure::Final};

/// Short and of all sorts, so that answers are short as well; written for this.
const SHIPPED: &str = include_str!("prompts.txt");

/// The largest file of prompts that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the base model is asked, each once: what ships, or the user's file of rows with a prompt that is a string.
///
/// # Errors
/// Where the file cannot be read, or a line of it is no such row.
pub(crate) fn prompts(config: &config::BaseAnswers) -> anyhow::Result<BTreeSet<String>> {
    let Some(file) = &config.file else {
        return Ok(SHIPPED.lines().map(str::to_owned).collect());
    };
    let refused = |problem: String| {
        let remedy =
            "mend the file that replay.base_answers.file names, or leave the key out for the prompts that ship";
        anyhow::Error::from(Final::new(format!("the prompts for the base model {}: {problem}", file.display()), remedy))
    };
    let size = fs::metadata(file).map_err(|error| refused(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(refused(format!("{size} bytes are more than {FILE_BYTES_MAX}")));
    }
    let text = fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let prompts =
        lines.map(|(at, line)| prompt(line).map_err(|problem| refused(format!("line {}: {problem}", at + 1))));
    let prompts = prompts.collect::<Result<BTreeSet<String>, _>>()?;
    let most = config.prompts_max as usize;
    match prompts.len() {
        0 => Err(refused("there is no prompt in it".to_owned())),
        found if found > most => {
            Err(refused(format!("{found} prompts are more than replay.base_answers.prompts_max of {most}")))
        }
        _ => Ok(prompts),
    }
}

fn prompt(line: &str) -> Result<String, String> {
    match Row::parse(line).map_err(|error| error.to_string())?.body {
        Body::PromptOnly { prompt: Content::Text(prompt), .. } => Ok(prompt),
        body => Err(format!("it is a row of the kind {}, not {{\"prompt\": \"…\"}} alone", body.kind().as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(text: &str) -> Result<BTreeSet<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prompts.jsonl");
        fs::write(&file, text).unwrap();
        let config = config::BaseAnswers { file: Some(file), prompts_max: 2, ..config::BaseAnswers::default() };
        prompts(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn what_ships_is_short_and_without_doubles() {
        let shipped = prompts(&config::BaseAnswers::default()).unwrap();
        assert_eq!(shipped.len(), SHIPPED.lines().count());
        assert!(shipped.len() >= 200 && shipped.iter().all(|prompt| (8..120).contains(&prompt.len())));
    }

    #[test]
    fn a_file_holds_prompts_and_nothing_else() {
        let found = of_file("{\"prompt\": \"b\"}\n\n{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n").unwrap();
        assert_eq!(found, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        for (text, problem) in [
            ("", "there is no prompt"),
            ("{\"prompt\": \"a\"}\nno", "line 2"),
            ("{\"prompt\": \"a\", \"completion\": \"b\"}", "line 1: it is a row of the kind prompt_completion"),
            ("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n{\"prompt\": \"c\"}", "3 prompts are more than"),
        ] {
            let error = of_file(text).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
