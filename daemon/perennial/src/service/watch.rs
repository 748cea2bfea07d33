use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
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
    /// Where the system refuses to watch the folder, the log says so, and nothing is ever told.
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
        let Ok(events) = events else {
            let _ = sender.blocking_send(BTreeSet::new());
            return;
        };
        if events.iter().any(|event| is_news(&event.kind)) {
            let _ = sender.blocking_send(events.iter().filter_map(|event| renamed_in(event)).collect());
        }
    })?;
    debouncer.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(debouncer)
}

/// Whether something may lie in the folder that did not before. Our own looking, reading and moving away are no news, nor is
/// each piece of a file that is being written: it is looked at again once it has settled.
fn is_news(kind: &EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Any | EventKind::Other => true,
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Name(mode)) => *mode != RenameMode::From,
        EventKind::Modify(_) | EventKind::Remove(_) => false,
    }
}

fn renamed_in(event: &notify::Event) -> Option<PathBuf> {
    match event.kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => event.paths.last().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn looking_reading_and_moving_away_are_no_news() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("inbox");
        fs::create_dir(&inbox).unwrap();
        let mut watcher = Watcher::new(&inbox);
        let path = inbox.join("a.jsonl");
        fs::write(folder.path().join("a.jsonl"), "{}").unwrap();
        fs::rename(folder.path().join("a.jsonl"), &path).unwrap();
        let patience = GATHER * 25;
        assert_eq!(timeout(patience, watcher.changed()).await.unwrap(), BTreeSet::from([path.clone()]));
        assert_eq!(fs::read_dir(&inbox).unwrap().count(), 1);
        fs::read(&path).unwrap();
        fs::rename(&path, folder.path().join("taken")).unwrap();
        assert!(timeout(GATHER * 4, watcher.changed()).await.is_err());
        fs::write(&path, "{}").unwrap();
        timeout(patience, watcher.changed()).await.unwrap();
    }
}
