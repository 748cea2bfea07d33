use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    client::send_file,
    exit::Exit,
    output,
    session::{Answerer, Session},
};
use crate::ports::{IntakeReport, REJECTIONS_NAMED_MAX, Stop};

/// `perennial ingest`
#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help_of(&[Exit::Done, Exit::Failed, Exit::RowsRefused, Exit::NothingTaken]))]
pub(super) struct Ingest {
    /// The files; they are left where they are
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Fail where a row is refused; the others are stored all the same
    #[arg(long)]
    strict: bool,
    /// Print the reports as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Ingest {
    /// Takes each file in. One that cannot be read does not keep the others out.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let answerer = session.to_write("perennial ingest")?;
        let mut exit = Exit::Done;
        for path in &self.files {
            let ended = match take(session, &answerer, path) {
                Ok(report) => {
                    match self.json {
                        true => output::line(serde_json::to_string(&report)?),
                        false => tell(path, &report),
                    }
                    self.exit_of(&report)
                }
                Err(error) => {
                    output::error(&error.context(path.display().to_string()));
                    Exit::Failed
                }
            };
            exit = exit.max(ended);
        }
        Ok(exit)
    }

    fn exit_of(&self, report: &IntakeReport) -> Exit {
        match report.rejected {
            _ if report.took_nothing() => Exit::NothingTaken,
            1.. if self.strict => Exit::RowsRefused,
            _ => Exit::Done,
        }
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
    for untrained in &report.untrained {
        output::note(format_args!("{name}: {untrained}"));
    }
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
