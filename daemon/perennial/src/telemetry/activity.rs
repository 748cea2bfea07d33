use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::answers::{Activity, IntakeTrouble, Stuck};

/// Holds the current [`Activity`] and counts heartbeats. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ActivityBoard {
    current: Arc<watch::Sender<Activity>>,
    intake: Arc<watch::Sender<IntakeTrouble>>,
    stuck: Arc<watch::Sender<Option<Stuck>>>,
    beats: Arc<AtomicU64>,
}

impl Default for ActivityBoard {
    fn default() -> Self {
        let (current, intake) = (watch::Sender::new(Activity::default()), watch::Sender::new(IntakeTrouble::default()));
        let stuck = Arc::new(watch::Sender::new(None));
        Self { current: Arc::new(current), intake: Arc::new(intake), stuck, beats: Arc::default() }
    }
}

impl ActivityBoard {
    /// What is under way now.
    pub(crate) fn current(&self) -> Activity {
        self.current.borrow().clone()
    }

    /// What keeps rows from coming in now.
    pub(crate) fn intake(&self) -> IntakeTrouble {
        self.intake.borrow().clone()
    }

    /// What kept training from getting on when the loop last looked: for those who must not wait for the registry.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        self.stuck.borrow().clone()
    }

    /// Keeps what was seen to keep training from getting on.
    pub(crate) fn set_stuck(&self, stuck: Option<Stuck>) {
        self.stuck.send_replace(stuck);
    }

    /// Whether the disk is full.
    pub(crate) fn storage_full(&self) -> bool {
        self.intake.borrow().storage_full
    }

    /// Changes what keeps rows from coming in, and says whether that made a difference.
    pub(crate) fn update_intake(&self, change: impl FnOnce(&mut IntakeTrouble)) -> bool {
        self.intake.send_if_modified(|trouble| {
            let before = trouble.clone();
            change(trouble);
            *trouble != before
        })
    }

    /// Told of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Activity> {
        self.current.subscribe()
    }

    /// Changes what is under way.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Activity)) {
        self.current.send_modify(change);
    }

    /// Counts a sign of life.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How many signs of life there have been: the watchdog is content while this grows.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }
}
