//! How fast rows become durable segments, and in how much memory: `cargo run --example ingest_throughput -- [ROWS]`.
//!
//! Each form of one file (500 bytes a row) is read, judged, fingerprinted, deduplicated, split and stored.

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
    time::Instant,
};

use perennial_data::{
    rows::{Line, ReadLimits, Rows},
    segment::{Stored, write_segment},
    split::{DomainSplit, Lot, Split, SplitConfig, choose_held_out},
};
use perennial_types::{Domain, Sample};

const ROWS: usize = 100_000;
const SEGMENT_ROWS: usize = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::args().nth(1).map(|rows| rows.parse()).transpose()?.unwrap_or(ROWS);
    let folder = tempfile::tempdir()?;
    let plain = folder.path().join("rows.jsonl");
    write_rows(BufWriter::new(File::create(&plain)?), rows)?;
    let bytes = fs::metadata(&plain)?.len();
    let mut gzip =
        flate2::write::GzEncoder::new(File::create(folder.path().join("rows.gz"))?, flate2::Compression::fast());
    io::copy(&mut File::open(&plain)?, &mut gzip)?;
    gzip.finish()?;
    zstd::stream::copy_encode(File::open(&plain)?, File::create(folder.path().join("rows.zst"))?, 3)?;
    for name in ["rows.jsonl", "rows.gz", "rows.zst"] {
        let start = Instant::now();
        let stored = ingest(&folder.path().join(name), &folder.path().join(format!("state-{name}")))?;
        let seconds = start.elapsed().as_secs_f64();
        let (rate, megabytes) = (stored as f64 / seconds, bytes as f64 / seconds / 1e6);
        writeln!(
            io::stdout(),
            "{name}: {stored} rows in {seconds:.2} s: {rate:.0} rows/s, {megabytes:.0} MB/s of JSON, {}",
            peak_memory()
        )?;
    }
    Ok(())
}

fn write_rows(mut file: impl Write, rows: usize) -> io::Result<()> {
    for n in 0..rows {
        let question = format!("Ticket {n}: the order of {} pieces came late and two were broken. ", n % 97).repeat(4);
        let answer = format!(r#"{{"ticket": {n}, "kind": "complaint", "pieces": {}, "urgent": false}}"#, n % 97);
        let messages = [("user", question), ("assistant", answer)]
            .map(|(role, content)| serde_json::json!({"role": role, "content": content}));
        let row = serde_json::json!({"id": n, "domain": format!("d{}", n % 5), "messages": messages, "team": "support", "language": "en"});
        writeln!(file, "{row}")?;
    }
    file.flush()
}

fn ingest(path: &Path, state: &Path) -> Result<usize, Box<dyn Error>> {
    let (mut seen, mut domains, mut batch, mut stored) = (HashSet::new(), BTreeMap::new(), Vec::new(), 0);
    for line in Rows::open(path, ReadLimits::default())? {
        let Line::Row { row, .. } = line? else { return Err("a row was refused".into()) };
        let sample = Sample::from_row(*row, &Domain::default(), "rows", 0);
        if seen.insert(sample.id) {
            batch.push(sample);
        }
        if batch.len() == SEGMENT_ROWS {
            stored += store(state, std::mem::take(&mut batch), &mut domains)?;
        }
    }
    if !batch.is_empty() {
        stored += store(state, batch, &mut domains)?;
    }
    Ok(stored)
}

fn store(
    state: &Path,
    batch: Vec<Sample>,
    domains: &mut BTreeMap<Domain, DomainSplit>,
) -> Result<usize, Box<dyn Error>> {
    let lot = |sample: &Sample| Lot {
        id: sample.id,
        question: sample.body.question_fingerprint(),
        domain: sample.domain.clone(),
    };
    let lots: Vec<Lot> = batch.iter().map(lot).collect();
    let before = Split { domains: domains.clone(), ..Split::default() };
    let chosen = choose_held_out(&SplitConfig::default(), &lots, &before);
    for lot in &lots {
        let counts = domains.entry(lot.domain.clone()).or_default();
        *(if chosen.contains(&lot.id) { &mut counts.held_out } else { &mut counts.training }) += 1;
    }
    let rows: Vec<Stored> =
        batch.into_iter().map(|sample| Stored { held_out: chosen.contains(&sample.id), sample }).collect();
    Ok(usize::try_from(write_segment(state, &rows)?.rows)?)
}

/// The most memory that this process ever held, as Linux tells it.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!("peak memory {}", peak.map_or("unknown", str::trim))
}
