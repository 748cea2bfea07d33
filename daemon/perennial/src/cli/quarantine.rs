use std::collections::BTreeMap;

use perennial_data::quarantine::QuarantineKind;

use super::{
    Json, output,
    session::{Answerer, Session},
    table::Table,
};
use crate::{
    answers::{Entry, KeptFile, Lines, Listing, RequeueReport},
    quarantine,
};

/// What the names of files begin with that were refused as a whole.
const KEPT_FILES: &str = "files/";

/// `perennial quarantine`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Quarantine {
    /// List what was refused: files of rows with counts and reasons, and files that were refused as a whole
    List(Json),
    /// Show the refused rows of a file, each with its reason
    Show {
        /// The file, as `list` names it
        #[arg(value_name = "NAME")]
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take refused rows in again, under the present configuration; what is accepted leaves quarantine
    Requeue {
        /// The files, as `list` names them
        #[arg(required_unless_present = "all", value_name = "NAME")]
        names: Vec<String>,
        /// All files of refused rows
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
}

impl Quarantine {
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        match self {
            Self::List(Json { json }) => list(session, *json),
            Self::Show { name, json } => show(session, name, *json),
            Self::Requeue { names, all } => requeue(session, names, *all),
        }
    }
}

fn listing(answerer: &Answerer) -> anyhow::Result<Listing> {
    match answerer {
        Answerer::Daemon(client) => client.get("/v1/quarantine"),
        Answerer::Here(parts) => quarantine::list(&parts.context.state),
    }
}

fn list(session: &Session, json: bool) -> anyhow::Result<()> {
    let listing = listing(&session.to_read()?)?;
    if json {
        return output::json(&listing);
    }
    let Listing { rows, files, left_off } = &listing;
    if rows.is_empty() && files.is_empty() {
        output::note("nothing is in quarantine");
        return Ok(());
    }
    let mut table = Table::new(["NAME", "SOURCE", "ROWS", "REASON"]);
    for Entry { name, source, kinds, reasons, .. } in rows {
        let count: u64 = kinds.values().sum();
        table.row([name.clone(), source.clone(), count.to_string(), most_frequent(reasons)]);
    }
    for KeptFile { name, bytes } in files {
        let reason = format!("the whole file, {bytes} bytes");
        table.row([format!("{KEPT_FILES}{name}"), name.clone(), super::table::NOTHING.to_owned(), reason]);
    }
    output::line(table);
    if *left_off > 0 {
        output::note(format_args!("and {left_off} more, which are older"));
    }
    Ok(())
}

/// The reason of most lines, and how many others there are.
fn most_frequent(reasons: &BTreeMap<String, u64>) -> String {
    let Some((reason, _)) = reasons.iter().max_by_key(|(_, count)| **count) else { return String::new() };
    match reasons.len() - 1 {
        0 => reason.clone(),
        others => format!("{reason} (and {others} other reasons)"),
    }
}

fn show(session: &Session, name: &str, json: bool) -> anyhow::Result<()> {
    let shown: Lines = match session.to_read()? {
        Answerer::Daemon(client) => client.get(&format!("/v1/quarantine/{}", encoded(name)))?,
        Answerer::Here(parts) => quarantine::show(&parts.context.state, name)?,
    };
    if json {
        return output::json(&shown);
    }
    for line in &shown.lines {
        let place = line.line.map(|line| format!(":{line}")).unwrap_or_default();
        let kind = match line.kind {
            QuarantineKind::Row => "",
            QuarantineKind::Source => " (the source)",
            QuarantineKind::Sample => " (a stored sample)",
        };
        output::line(format_args!("{}{place}{kind}: {}", line.file, line.reason));
        if let Some(excerpt) = &line.excerpt {
            output::line(format_args!("    {}{}", excerpt.text, if excerpt.cut { "…" } else { "" }));
        }
    }
    if shown.left_off > 0 {
        output::note(format_args!("and {} more lines", shown.left_off));
    }
    Ok(())
}

fn requeue(session: &Session, names: &[String], all: bool) -> anyhow::Result<()> {
    let answerer = session.to_write("perennial quarantine requeue")?;
    let names =
        if all { listing(&answerer)?.rows.into_iter().map(|entry| entry.name).collect() } else { names.to_vec() };
    for name in names {
        match name.strip_prefix(KEPT_FILES) {
            Some(file) => give_back(&answerer, file)?,
            None => requeue_rows(&answerer, &name)?,
        }
    }
    Ok(())
}

fn give_back(answerer: &Answerer, file: &str) -> anyhow::Result<()> {
    match answerer {
        Answerer::Daemon(client) => client.post(&format!("/v1/quarantine/files/{}/requeue", encoded(file)), &())?,
        Answerer::Here(parts) => quarantine::give_back(&parts.context.state, file)?,
    }
    output::line(format_args!("{KEPT_FILES}{file}: back in the inbox, where `perennial run` takes it"));
    Ok(())
}

fn requeue_rows(answerer: &Answerer, name: &str) -> anyhow::Result<()> {
    let report: RequeueReport = match answerer {
        Answerer::Daemon(client) => client.post(&format!("/v1/quarantine/{}/requeue", encoded(name)), &())?,
        Answerer::Here(parts) => parts.ports.intake.requeue(name)?,
    };
    let RequeueReport { accepted, duplicates, rejected, not_whole } = report;
    output::line(format_args!("{name}: {accepted} accepted, {duplicates} duplicates, {rejected} refused still"));
    if not_whole > 0 {
        output::note(format_args!(
            "{name}: {not_whole} lines hold no whole row and stay: mend their source and send it again"
        ));
    }
    Ok(())
}

/// A name as a part of a path in a URL.
fn encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
