use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use reqwest::blocking::{Body, RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{http::ErrorBody, lock::DaemonFile, ports::IntakeReport};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A running daemon, as a command sees it.
pub(super) struct Client {
    http: reqwest::blocking::Client,
    base: String,
}

impl Client {
    pub(super) fn new(daemon: &DaemonFile) -> anyhow::Result<Self> {
        // Taking a large file in takes as long as it takes; a proxy has no business between two ends of one machine.
        let http =
            reqwest::blocking::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(None).no_proxy().build()?;
        Ok(Self { http, base: format!("http://{}", daemon.address) })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.http.get(format!("{}{path}", self.base)))
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send(self.http.post(format!("{}{path}", self.base)).json(body))
    }

    /// Sends a part of a file, or all of it.
    pub(super) fn samples(&self, rows: impl Into<Body>, source: &str, first_line: u64) -> anyhow::Result<IntakeReport> {
        let request = self.http.post(format!("{}/v1/samples", self.base));
        self.send(request.query(&[("source", source), ("first_line", &first_line.to_string())]).body(rows))
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = request.send().with_context(|| format!("the daemon at {} does not answer", self.base))?;
        if response.status().is_success() {
            return response.json().context("the daemon's answer is not understood: is it of another version?");
        }
        Err(refusal(response))
    }
}

fn refusal(response: Response) -> anyhow::Error {
    let status = response.status();
    let body: Result<Value, _> = response.json();
    let error = body.ok().and_then(|mut body| serde_json::from_value::<ErrorBody>(body["error"].take()).ok());
    match error {
        Some(error) => anyhow!("{}", error.message),
        None => anyhow!("the daemon answered {status}"),
    }
}

/// How much of a file is sent at once, if the daemon takes so much.
const PART_BYTES_MAX: usize = 32 << 20;

/// The bytes that gzip and zstd files begin with: those are sent whole, since they cannot be cut at line ends.
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// Sends a file, a long one in parts that end where lines end.
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
        if first_line == 1 && COMPRESSED.iter().any(|magic| part.starts_with(magic)) {
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
    report.rejections.extend(part.rejections);
    report.rejections.truncate(crate::ports::REJECTIONS_NAMED_MAX);
    report.quarantine = part.quarantine.or(report.quarantine.take());
}
