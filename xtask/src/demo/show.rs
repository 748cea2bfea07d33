use std::{fs, path::Path};

use anyhow::{Context, Result};
use perennial_tests::Program;

use super::{scene::Question, watch::Cycle};
use crate::{output, shell::from_root};

/// The model's answers before and after.
pub(crate) fn answers(questions: &[Question], before: &[String], after: &[String]) {
    output::result("\nThree questions that are in no training row\n");
    for ((question, before), after) in questions.iter().zip(before).zip(after) {
        output::result(format!("  {}", question.text));
        for (name, answer) in [("before", before), ("after", after), ("right", &question.answer)] {
            output::result(format!("    {name:<7} {}", answer.replace('\n', " ")));
        }
        output::result("");
    }
}

/// The gate's words and its table.
pub(crate) fn report(state: &Path, cycle: &Cycle) -> Result<()> {
    let path = state.join("cycles").join(&cycle.id).join("report.md");
    let report = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let head: Vec<&str> = report.lines().take_while(|line| !line.starts_with("## Where")).collect();
    let (table, words): (Vec<&str>, Vec<&str>) = head.into_iter().partition(|line| line.starts_with('|'));
    let words = words.into_iter().filter(|line| !line.is_empty() && !line.starts_with("## "));
    words.for_each(|line| output::result(line.trim_start_matches("# ")));
    output::result("");
    aligned(&table).iter().for_each(|line| output::result(format!("  {line}")));
    output::result(format!("\nThe whole report: {}", from_root(path.display())));
    Ok(())
}

/// Where the adapter is and how to try it.
pub(crate) fn ways_on(program: &Program, cycle: &Cycle, questions: &[Question]) {
    let state = program.state();
    output::result(format!("The adapter:      {}", from_root(state.join("adapters").join(&cycle.adapter).display())));
    if cycle.promoted {
        output::result(format!("Published as:     {}", from_root(state.join("export/current").display())));
    }
    if let Some(question) = questions.first() {
        let line = program.line(&["generate", "--adapter", &cycle.adapter, "--prompt", &question.text]);
        output::result(format!("Try it:           {}", from_root(line)));
    }
}

/// The rows of a Markdown table with columns of equal width, without the rule below the head.
fn aligned(table: &[&str]) -> Vec<String> {
    let cells = |row: &&str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = table.iter().filter(|row| !row.starts_with("|-")).map(cells).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let padded =
        |row: &Vec<String>| row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}  ")).collect();
    rows.iter().map(padded).map(|line: String| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_table_are_aligned() {
        let table = ["| suite | n |", "|---|---:|", "| general | 40 |"];
        assert_eq!(aligned(&table), ["suite    n", "general  40"]);
    }
}
