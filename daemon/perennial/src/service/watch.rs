use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode,
    event::{ModifyKind, RenameMode},
};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::mpsc;
use tracing::warn;

/// How long events of one file are gathered before they are told.
const GATHER: Duration = Duration::from_millis(200);

/// How many bunches of events wait for the loop; then the watcher waits too.
const EVENTS_MAX: usize = 64;

/// Tells when something happens in the inbox. Events get lost (a full queue, a network file system), so the inbox is also
/// looked at in intervals; without a watcher, only then.
pub(crate) struct Watcher {
    events: mpsc::Receiver<BTreeSet<PathBuf>>,
    _debouncer: Option<Debouncer<RecommendedWatcher, RecommendedCache>>,
}

impl Watcher {
    /// Watches a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let debouncer = watch(folder, sender).inspect_err(|error| {
            warn!(%error, folder = %folder.display(), "the inbox cannot be watched; it is looked at in intervals only");
        });
        Self { events, _debouncer: debouncer.ok() }
    }

    /// The files that were renamed in, as soon as anything happened at all. Never returns where nothing is watched.
    pub(crate) async fn changed(&mut self) -> BTreeSet<PathBuf> {
        let Some(mut renamed) = self.events.recv().await else { return std::future::pending().await };
        while let Ok(more) = self.events.try_recv() {
            renamed.extend(more);
        }
        renamed
    }
}

fn watch(
    folder: &Path,
    sender: mpsc::Sender<BTreeSet<PathBuf>>,
) -> notify::Result<Debouncer<RecommendedWatcher, RecommendedCache>> {
    let mut debouncer = new_debouncer(GATHER, None, move |events: DebounceEventResult| {
        // After an error (the queue ran over), a look at the folder finds what was missed.
        let renamed = events.unwrap_or_default().iter().filter_map(|event| renamed_in(event)).collect();
        let _ = sender.blocking_send(renamed);
    })?;
    debouncer.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(debouncer)
}

fn renamed_in(event: &notify::Event) -> Option<PathBuf> {
    match event.kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => event.paths.last().cloned(),
        _ => None,
    }
}
