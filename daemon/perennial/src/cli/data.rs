//! `perennial data`: what a row comes to.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use perennial_data::rows::{Line, Rows};

use super::{output, session::Session, shown::Shown};
use crate::models;

/// `perennial data`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Data {
    /// Show rows as the base model reads them, and what of them is learned
    Render(Render),
}

/// `perennial data render`
#[derive(Debug, clap::Args)]
pub(super) struct Render {
    /// The rows, as `ingest` takes them; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show so many rows at most
    #[arg(long, default_value_t = 10, value_name = "N")]
    rows: usize,
    /// As JSON, one row a line, with the tokens
    #[arg(long)]
    json: bool,
}

impl Data {
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::Render(render) => render.run(session),
        }
    }
}

impl Render {
    fn run(&self, session: &Session) -> anyhow::Result<()> {
        session.log_quietly()?;
        let config = &session.config().model;
        let model = models::load(config, config.precision.resolve())?;
        let model = model.with_prompt_as_chat(session.config().ingest.prompt_as_chat);
        let length_max = session.config().train.max_length.min(model.config.positions_max);
        let limits = session.config().ingest.file_limits(Arc::default());
        let rows = Rows::read(self.file.to_string_lossy(), self.open()?, limits)?;
        let colour = output::has_colour();
        for line in rows.take(self.rows) {
            let (number, parts) = match line? {
                Line::Row { line, row } => (line, Shown::parts_of(&row.body, &model, length_max)),
                Line::Rejected(rejected) => (rejected.line, vec![Shown::refused(rejected.reason)]),
                Line::Fault(fault) => bail!("{}", fault.reason),
            };
            for part in parts {
                match self.json {
                    true => output::line(serde_json::json!({"row": number, "shown": part})),
                    false => output::line(format_args!("row {number}: {}", part.described(colour))),
                }
            }
        }
        Ok(())
    }

    fn open(&self) -> anyhow::Result<Box<dyn Read>> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(std::io::stdin().lock()));
        }
        let file = File::open(&self.file).with_context(|| format!("{} cannot be opened", self.file.display()))?;
        Ok(Box::new(file))
    }
}
