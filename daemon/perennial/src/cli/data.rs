//! `perennial data`: what a row comes to.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::Context as _;
use perennial_types::Row;

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
    /// The rows, as JSON Lines; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show so many rows at most
    #[arg(long, default_value_t = 10, value_name = "N")]
    rows: usize,
    /// As JSON, one row a line, with the tokens
    #[arg(long)]
    json: bool,
}

/// A longer line is not shown: it could not be taken in either.
const LINE_BYTES_MAX: u64 = 16 << 20;

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
        let length_max = session.config().train.max_length.min(model.config.positions_max);
        let mut rows = self.open()?;
        let colour = output::has_colour();
        let mut shown = 0;
        for number in 1.. {
            let mut line = String::new();
            let read = rows.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).context("the rows cannot be read")?;
            if read == 0 || shown == self.rows {
                break;
            }
            if line.trim().is_empty() {
                continue;
            }
            shown += 1;
            let row = Row::parse(line.trim());
            let parts = match &row {
                Ok(row) => Shown::parts_of(&row.body, &model, length_max),
                Err(error) => vec![Shown::refused(error.to_string())],
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

    fn open(&self) -> anyhow::Result<Box<dyn BufRead>> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(std::io::stdin().lock()));
        }
        let file = File::open(&self.file).with_context(|| format!("{} cannot be opened", self.file.display()))?;
        Ok(Box::new(BufReader::new(file)))
    }
}
