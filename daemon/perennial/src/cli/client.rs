use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    time::Duration,
};

use anyhow::{Context as _, bail};
use perennial_data::rows::is_compressed;
use reqwest::{
    StatusCode,
    blocking::{Body, RequestBuilder, Response},
    header::CONTENT_TYPE,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::Listen,
    http::{Code, Problem},
    lock::DaemonFile,
    ports::IntakeReport,
    untrained,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A daemon that has not answered after this time does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Taking a part of a file in may wait for others before it.
const INTAKE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A running daemon, as a command sees it.
pub(super) struct Client {
    http: reqwest::blocking::Client,
    base: String,
    /// What the daemon may ask for.
    token: Option<String>,
    address: Listen,
}

impl Client {
    /// A client of this daemon, with the token to show it, if there is one.
    pub(super) fn new(daemon: &DaemonFile, token: Option<String>) -> anyhow::Result<Self> {
        // A proxy has no business between two ends of one machine.
        let http =
            reqwest::blocking::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).no_proxy();
        let (http, base) = match &daemon.address {
            Listen::Tcp(address) => (http, format!("http://{address}")),
            // The name is not looked up: every connection goes to the socket.
            Listen::Unix(path) => (http.unix_socket(path.as_path()), "http://localhost".to_owned()),
        };
        Ok(Self { http: http.build()?, base, token, address: daemon.address.clone() })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.http.get(format!("{}{path}", self.base)))
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send(self.http.post(format!("{}{path}", self.base)).json(body))
    }

    /// Sends a part of a file, or all of it. That every row of a part was refused is its report.
    pub(super) fn samples(&self, rows: impl Into<Body>, source: &str, first_line: u64) -> anyhow::Result<IntakeReport> {
        let request = self.http.post(format!("{}/v1/samples", self.base)).timeout(INTAKE_TIMEOUT);
        let request = request.header(CONTENT_TYPE, ROWS_TYPE).body(rows);
        let request = request.query(&[("source", source), ("first_line", &first_line.to_string())]);
        match self.send(request) {
            Err(error) => match error.downcast::<Refused>() {
                Ok(Refused { code, report: Some(report), .. }) if code == Code::NothingTaken.as_str() => Ok(*report),
                Ok(refused) => Err(refused.into()),
                Err(error) => Err(error),
            },
            taken => taken,
        }
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().with_context(|| format!("the daemon at {} does not answer", self.address))?;
        if response.status().is_success() {
            return response.json().context("the daemon's answer is not understood: is it of another version?");
        }
        Err(Refused::of(response).into())
    }
}

/// What the daemon answered to what it does not do.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Refused {
    text: String,
    /// What is wrong, by a name of [`Code`]; empty where the answer is none of ours.
    pub(super) code: String,
    report: Option<Box<IntakeReport>>,
}

impl Refused {
    fn of(response: Response) -> Self {
        let status = response.status();
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; a command takes its token from PERENNIAL_TOKEN, from the file that PERENNIAL_TOKEN_FILE names, or from \
                 `http.tokens_file`"
            }
            _ => "",
        };
        match response.json::<Problem>() {
            Ok(Problem { detail, code, report, .. }) => Self { text: format!("{detail}{hint}"), code, report },
            Err(_) => Self { text: format!("the daemon answered {status}{hint}"), code: String::new(), report: None },
        }
    }
}

/// Rows in JSON Lines; that they may be compressed is seen from their first bytes.
const ROWS_TYPE: &str = "application/x-ndjson";

/// How much of a file is sent at once, if the daemon takes so much.
const PART_BYTES_MAX: usize = 32 << 20;

/// Sends a file, a long one in parts that end where lines end. A compressed one, which cannot be cut there, is sent whole.
pub(super) fn send_file(
    client: &Client,
    mut file: File,
    source: &str,
    body_bytes_max: usize,
) -> anyhow::Result<IntakeReport> {
    let part_bytes = body_bytes_max.min(PART_BYTES_MAX);
    let mut report = IntakeReport::default();
    let mut first_line = 1;
    loop {
        let mut part = Vec::new();
        file.by_ref().take(part_bytes as u64).read_to_end(&mut part)?;
        if first_line == 1 && is_compressed(&part) {
            file.rewind()?;
            return client.samples(file, source, first_line);
        }
        if part.len() < part_bytes {
            add(&mut report, client.samples(part, source, first_line)?);
            return Ok(report);
        }
        let Some(end) = part.iter().rposition(|&byte| byte == b'\n') else {
            bail!("line {first_line} is longer than {part_bytes} bytes: put the file into the inbox instead");
        };
        let rest = i64::try_from(part.len() - end - 1)?;
        file.seek(SeekFrom::Current(-rest))?;
        part.truncate(end + 1);
        let lines = part.iter().filter(|&&byte| byte == b'\n').count() as u64;
        add(&mut report, client.samples(part, source, first_line)?);
        first_line += lines;
    }
}

/// Adds what became of one part to what became of those before.
fn add(report: &mut IntakeReport, part: IntakeReport) {
    report.accepted += part.accepted;
    report.duplicates += part.duplicates;
    report.rejected += part.rejected;
    report.held_out += part.held_out;
    report.unkept += part.unkept;
    for (domain, rows) in part.domains {
        *report.domains.entry(domain).or_default() += rows;
    }
    untrained::add(&mut report.untrained, part.untrained);
    report.rejections.extend(part.rejections);
    report.rejections.truncate(crate::ports::REJECTIONS_NAMED_MAX);
    report.quarantine = part.quarantine.or(report.quarantine.take());
}
