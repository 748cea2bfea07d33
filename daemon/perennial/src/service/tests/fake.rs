//! Parts that do nothing but count.

use perennial_drift::Cause;
use perennial_types::CycleId;

use super::*;
use crate::{
    answers::{Drift, DriftScore, Held},
    ports::{CycleEnd, DriftWatch},
};

/// A line is a row; a file that begins with `!` is none, and one that begins with `?` cannot be stored, `#` for want of room.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) waiting: AtomicU64,
    /// Whether no cycle could begin, under whatever configuration.
    pub(super) blocked: AtomicBool,
    /// How often a configuration was refused.
    pub(super) refused: AtomicU64,
    pub(super) begun: AtomicU64,
    pub(super) unfinished: AtomicU64,
    pub(super) may_end: AtomicBool,
    /// Whether requests of more than [`LIGHT`] bytes are through.
    pub(super) heavy_may_end: AtomicBool,
    /// Whether a request was stopped.
    pub(super) stopped: AtomicBool,
    pub(super) fails: AtomicBool,
    pub(super) abort: AtomicBool,
    pub(super) hangs: AtomicBool,
    /// Whether its candidate waits for a person's word.
    pub(super) holds: AtomicBool,
    /// Whether what comes in has drifted.
    pub(super) drifts: AtomicBool,
    /// How often that was measured.
    pub(super) measured: AtomicU64,
}

/// The longest request that is read at once.
pub(super) const LIGHT: usize = 1 << 20;

/// What the fake's check refuses.
pub(super) const REFUSED_RANK: usize = 8;

impl Fake {
    /// As long as a heavy input takes.
    fn wait(&self, text: &str, stop: &Stop) {
        while text.len() > LIGHT && !stop.is_set() && !self.heavy_may_end.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn take(&self, text: &str) -> Result<IntakeReport, IntakeError> {
        if text.starts_with('!') {
            return Err(IntakeError::Unreadable { input: "fake".into(), reason: "no rows".into() });
        }
        if text.starts_with('?') {
            return Err(IntakeError::Storage(anyhow::anyhow!("out of order")));
        }
        if text.starts_with('#') {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(IntakeError::StorageFull(anyhow::Error::from(full).context("the segment")));
        }
        let accepted = text.lines().count() as u64;
        self.waiting.fetch_add(accepted, SeqCst);
        Ok(IntakeReport { accepted, ..Default::default() })
    }
}

impl Intake for Fake {
    fn take_file(&self, mut file: File, _name: &str, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        self.wait(&text, stop);
        self.take(&text)
    }

    fn take_rows(&self, rows: &mut dyn Read, _origin: &Origin, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        let mut text = String::new();
        rows.read_to_string(&mut text).unwrap();
        self.wait(&text, stop);
        self.stopped.fetch_or(stop.is_set(), SeqCst);
        self.take(&text)
    }

    fn requeue(&self, _file: &str) -> anyhow::Result<RequeueReport> {
        Ok(RequeueReport::default())
    }
}

impl Indexer for Fake {
    fn index(&self, _stop: &Stop) -> anyhow::Result<u64> {
        Ok(0)
    }
}

impl DriftWatch for Fake {
    fn measure(&self, _may_calculate: bool, _stop: &Stop) -> anyhow::Result<Drift> {
        let scores = self.drifts.load(SeqCst).then(|| DriftScore {
            detector: "mix".to_owned(),
            meaning: String::new(),
            domain: None,
            score: Some(1.0),
            threshold: Some(0.5),
            drifted: true,
        });
        self.measured.fetch_add(1, SeqCst);
        Ok(Drift { measured_ms: Some(clock::now_ms()), scores: scores.into_iter().collect(), ..Drift::default() })
    }
}

impl Cycles for Fake {
    fn waiting(&self) -> anyhow::Result<Waiting> {
        while self.hangs.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Waiting { samples: self.waiting.load(SeqCst), refused: 0, oldest_ms: Some(clock::now_ms()) })
    }

    fn unfinished(&self) -> anyhow::Result<Option<CycleId>> {
        Ok(Some(self.unfinished.load(SeqCst)).filter(|&cycle| cycle > 0).map(CycleId))
    }

    fn check(&self, config: &Config) -> anyhow::Result<()> {
        anyhow::ensure!(!self.blocked.load(SeqCst), "another base");
        if config.train.r == REFUSED_RANK {
            self.refused.fetch_add(1, SeqCst);
            anyhow::bail!("train.r is not the champion's");
        }
        Ok(())
    }

    fn doubts(&self) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn request_abort(&self, cycle: CycleId, _reason: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.unfinished.load(SeqCst) == cycle.0, "it is over");
        self.abort.store(true, SeqCst);
        Ok(())
    }

    fn begin(&self, _cause: Cause) -> anyhow::Result<CycleId> {
        anyhow::ensure!(self.waiting.swap(0, SeqCst) > 0, "no new samples wait");
        let cycle = self.begun.fetch_add(1, SeqCst) + 1;
        self.unfinished.store(cycle, SeqCst);
        Ok(CycleId(cycle))
    }

    fn run(&self, _cycle: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd> {
        if self.holds.load(SeqCst) {
            return Ok(CycleEnd::Held("0123456789ab".parse()?));
        }
        while !self.may_end.load(SeqCst) {
            if self.abort.load(SeqCst) && (stop.is_set() || self.fails.load(SeqCst)) {
                self.unfinished.store(0, SeqCst);
                return Ok(CycleEnd::Aborted { reason: "asked".into() });
            }
            if stop.is_set() {
                return Ok(CycleEnd::Stopped);
            }
            anyhow::ensure!(!self.fails.load(SeqCst), "out of memory");
            thread::sleep(Duration::from_millis(5));
        }
        self.unfinished.store(0, SeqCst);
        Ok(CycleEnd::Promoted("0123456789ab".parse()?))
    }

    fn held(&self) -> anyhow::Result<Option<Held>> {
        let waits = self.holds.load(SeqCst) && self.unfinished.load(SeqCst) > 0;
        let adapter = "0123456789ab".parse()?;
        let cycle = CycleId(self.unfinished.load(SeqCst));
        Ok(waits.then_some(Held { cycle, adapter, since_ms: 1, until_ms: 9_000_000_000_000 }))
    }

    fn answer_hold(&self, cycle: CycleId, _approves: bool, _reason: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.unfinished.load(SeqCst) == cycle.0, "nothing waits");
        self.holds.store(false, SeqCst);
        Ok(())
    }

    fn decide_anew(&self, _cycle: CycleId) -> anyhow::Result<perennial_gate::Report> {
        anyhow::bail!("no scores are kept")
    }

    fn requeue(&self, _cycle: CycleId) -> anyhow::Result<u64> {
        Ok(3)
    }

    fn promote(&self, _adapter: &AdapterId, _reason: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn roll_back(&self, _to: Option<&AdapterId>) -> anyhow::Result<Option<AdapterId>> {
        Ok(None)
    }
}
