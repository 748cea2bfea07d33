//! A ledger in memory, and a target that keeps what it was told.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use perennial_types::{AdapterId, CycleId, Fingerprint, Publication};

use crate::{Champion, Exporter, Ledger, LedgerError, Observed, PublishError, Publisher, Reach, Tries, Wish};

/// The wish after this change; the files of the champion "changed" are not what they should be.
pub(crate) fn wish(change: u64, champion: Option<&str>) -> Wish {
    let champion = champion.map(|weights| {
        let files = Fingerprint::of(weights.as_bytes());
        let adapter = AdapterId::of(&files);
        let folder = Path::new("/adapters").join(adapter.to_string());
        Champion { adapter, files, folder, base: Fingerprint::of(b"base"), cycle: CycleId(7) }
    });
    Wish { change, at_ms: 1_000, reason: "passed".to_owned(), champion, previous: None }
}

#[derive(Clone)]
pub(crate) struct Memory {
    wish: Arc<Mutex<Wish>>,
    rows: Arc<Mutex<BTreeMap<String, Publication>>>,
    records_left: Arc<AtomicUsize>,
}

impl Default for Memory {
    fn default() -> Self {
        let wish = Arc::new(Mutex::new(wish(0, None)));
        Self { wish, rows: Arc::default(), records_left: Arc::new(AtomicUsize::new(usize::MAX)) }
    }
}

impl Memory {
    pub(crate) fn change(&self, wish: Wish) {
        *self.wish.lock().unwrap() = wish;
    }

    pub(crate) fn fails_after(&self, records: usize) {
        self.records_left.store(records, SeqCst);
    }

    pub(crate) fn row(&self, target: &str) -> Option<Publication> {
        self.rows.lock().unwrap().get(target).cloned()
    }
}

impl Ledger for Memory {
    fn wish(&self) -> Result<Wish, LedgerError> {
        Ok(self.wish.lock().unwrap().clone())
    }

    fn verify(&self, wish: &Wish) -> Result<(), LedgerError> {
        let changed = Fingerprint::of(b"changed");
        if wish.champion.as_ref().is_some_and(|champion| champion.files == changed) {
            return Err("the files were changed".into());
        }
        Ok(())
    }

    fn publication(&self, target: &str) -> Result<Option<Publication>, LedgerError> {
        Ok(self.row(target))
    }

    fn record(&self, publication: &Publication) -> Result<(), LedgerError> {
        if self.records_left.load(SeqCst) == 0 {
            return Err("the disk is gone".into());
        }
        self.records_left.fetch_sub(1, SeqCst);
        self.rows.lock().unwrap().insert(publication.target.clone(), publication.clone());
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Target {
    place: &'static str,
    can_be_asked: bool,
    served: Arc<Mutex<Option<AdapterId>>>,
    told: Arc<Mutex<Vec<u64>>>,
    tried: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    inside: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            place: "here",
            can_be_asked: false,
            served: Arc::default(),
            told: Arc::default(),
            tried: Arc::default(),
            fails: Arc::default(),
            inside: Arc::default(),
            at_once: Arc::default(),
        }
    }
}

impl Target {
    pub(crate) fn asked() -> Self {
        Self { can_be_asked: true, ..Self::default() }
    }

    pub(crate) fn moved() -> Self {
        Self { place: "elsewhere", ..Self::default() }
    }

    pub(crate) fn fails(&self, fails: bool) {
        self.fails.store(fails, SeqCst);
    }

    pub(crate) fn serves(&self, adapter: Option<AdapterId>) {
        *self.served.lock().unwrap() = adapter;
    }

    pub(crate) fn told(&self) -> Vec<u64> {
        self.told.lock().unwrap().clone()
    }

    pub(crate) fn tried(&self) -> usize {
        self.tried.load(SeqCst)
    }

    /// The most threads that were in it at a time.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once.load(SeqCst)
    }
}

impl Publisher for Target {
    fn name(&self) -> &str {
        "fake"
    }

    fn place(&self) -> Fingerprint {
        Fingerprint::of(self.place.as_bytes())
    }

    fn reach(&self) -> Reach {
        if self.can_be_asked { Reach::Local } else { Reach::Remote }
    }

    fn tries(&self) -> Tries {
        let (pause_first, pause_max) = (Duration::from_secs(1), Duration::from_secs(60));
        Tries { pause_first, pause_max, attempts_max: Some(3) }
    }

    fn publish(&self, wish: &Wish) -> Result<(), PublishError> {
        self.at_once.fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        self.tried.fetch_add(1, SeqCst);
        thread::yield_now();
        self.inside.fetch_sub(1, SeqCst);
        if self.fails.load(SeqCst) {
            return Err(PublishError::NotALink("nowhere".into()));
        }
        self.serves(wish.adapter().cloned());
        self.told.lock().unwrap().push(wish.change);
        Ok(())
    }

    fn observe(&self, _: &Wish) -> Result<Observed, PublishError> {
        if !self.can_be_asked {
            return Ok(Observed::Untold);
        }
        Ok(Observed::Serves(self.served.lock().unwrap().clone()))
    }

    fn check(&self) -> Result<String, PublishError> {
        Ok("fake".to_owned())
    }
}

/// Writes a file that says whose it is.
#[derive(Debug)]
pub(crate) struct Named;

impl Exporter for Named {
    fn export(&self, champion: &Champion, format: &str, out: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        if fs::exists(out)? {
            return Err("it is there".into());
        }
        Ok(fs::write(out, format!("{format} {}", champion.adapter))?)
    }
}
