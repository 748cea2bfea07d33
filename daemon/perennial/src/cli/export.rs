use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use perennial_learn::export::{Dtype, Format};

use super::{output, session::Session};
use crate::{
    evaluation::adapter_of,
    exports::{self, Source},
    telemetry::ProgressBar,
};

/// `perennial export`
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// An adapter's id, a cycle's number for its candidate, "champion", "anchor", or a PEFT folder
    adapter: String,
    /// The form that it is written in
    #[arg(long, value_parser = formats())]
    format: Format,
    /// The file or folder to write, which is not there yet
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// What numbers are stored as, in GGUF files [default: f32 for an adapter alone, as in the base model for a merged one]
    #[arg(long, value_parser = dtypes())]
    dtype: Option<Dtype>,
}

fn formats() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.map(|format| PossibleValue::new(format.name()).help(format.about()));
    PossibleValuesParser::new(values).try_map(|name| Format::named(&name).ok_or("no such form"))
}

fn dtypes() -> impl TypedValueParser<Value = Dtype> {
    let values = Dtype::ALL.map(|dtype| PossibleValue::new(dtype.as_str()));
    PossibleValuesParser::new(values).try_map(|name| Dtype::named(&name).ok_or("no such type"))
}

impl Export {
    /// Reads and writes here, beside a daemon too: nothing of the state directory is changed.
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        session.log_quietly()?;
        let Self { adapter, format, out, dtype } = self;
        let model = &session.config().model;
        let folder = Path::new(&adapter);
        if folder.join("adapter_config.json").is_file() {
            session.limit_threads()?;
            let source = Source { name: &adapter, folder, trained_on: None };
            exports::export(model, &source, format, dtype, &out)?;
        } else {
            session.require_state()?;
            let parts = session.parts(None, ProgressBar::hidden())?;
            let known = adapter_of(&parts.context, &adapter)?;
            let source = Source { name: &known.name, folder: &known.folder, trained_on: known.trained_on };
            exports::export(model, &source, format, dtype, &out)?;
        }
        output::line(out.display());
        Ok(())
    }
}
