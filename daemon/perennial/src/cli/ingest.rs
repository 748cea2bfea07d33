use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use super::{
    client::send_file,
    output,
    session::{Answerer, Session},
};
use crate::ports::{IntakeReport, REJECTIONS_NAMED_MAX, Stop};

/// `perennial ingest`
#[derive(Debug, clap::Args)]
pub(super) struct Ingest {
    /// The files; they are left where they are
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the reports as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Ingest {
    /// Takes each file in. One that cannot be read does not keep the others out.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<ExitCode> {
        let answerer = session.to_write("perennial ingest")?;
        let mut code = ExitCode::SUCCESS;
        for path in &self.files {
            match take(session, &answerer, path) {
                Ok(report) if self.json => output::line(serde_json::to_string(&report)?),
                Ok(report) => tell(path, &report),
                Err(error) => {
                    output::error(&error.context(path.display().to_string()));
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }
}

fn take(session: &Session, answerer: &Answerer, path: &Path) -> anyhow::Result<IntakeReport> {
    let file = File::open(path).context("cannot be opened")?;
    match answerer {
        Answerer::Daemon(client) => {
            let source = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            send_file(client, file, &source, session.config().http.body_bytes_max)
        }
        Answerer::Here(parts) => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            Ok(parts.ports.intake.take_file(file, &name, &Stop::default())?)
        }
    }
}

fn tell(path: &Path, report: &IntakeReport) {
    let IntakeReport { accepted, duplicates, rejected, held_out, .. } = report;
    let name = path.display();
    output::line(format_args!(
        "{name}: {accepted} accepted ({held_out} held out), {duplicates} duplicates, {rejected} rejected"
    ));
    for rejection in &report.rejections {
        output::note(format_args!("{name}:{}: {}", rejection.line, rejection.reason));
    }
    if *rejected > REJECTIONS_NAMED_MAX as u64 {
        output::note(format_args!("and {} more", rejected - REJECTIONS_NAMED_MAX as u64));
    }
    if report.unkept > 0 {
        output::note(format_args!(
            "quarantine has no room for {} of them (`ingest.quarantine_source_bytes_max`, `ingest.quarantine_bytes_max`)",
            report.unkept
        ));
    }
    if let Some(quarantine) = &report.quarantine {
        output::note(format_args!("rejected rows are kept in {}", quarantine.display()));
    }
}
