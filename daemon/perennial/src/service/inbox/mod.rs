//! The watched folder: which of its files may be taken, and where they go afterwards. One file that cannot be taken or moved
//! holds no other up.

mod ailing;
mod backlog;
mod lane;
mod scan;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use perennial_data::rows::source_name;

pub(super) use self::backlog::backlog;
pub(crate) use self::lane::{Lane, Weight};
use self::{
    ailing::Ailing,
    scan::{Scan, Scanner},
};
use super::Desk;
use crate::{
    files::{Identity, move_into, open_regular},
    ports::{Context, IntakeError, Stop},
    prune,
    telemetry::{FileHandled, FileOutcome, InboxLooked, StorageFull},
    told::told,
};

/// How long the inbox rests while the disk is full.
pub(super) const FULL_PAUSE: Duration = Duration::from_secs(10);

/// So much room there must be before it goes on.
const ROOM_BYTES_MIN: u64 = 4 << 20;

/// What was made of a file; it is then moved where such files go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judged {
    Taken,
    Quarantined(String),
}

/// The inbox, with what is known of its files from one look to the next. Everything here blocks.
pub(super) struct Inbox {
    context: Context,
    desk: Desk,
    scanner: Scanner,
    /// Shared by all lanes.
    ailing: Arc<Mutex<Ailing>>,
    weight: Weight,
    /// Files may lie in the folder of taken ones that go beyond its bound: some were moved there, or the bound was
    /// another before the start.
    taken_grew: bool,
}

/// Why a look at the inbox ends before all files are dealt with.
enum Halt {
    /// There is no room.
    Full,
    /// The daemon stops.
    Stopped,
}

impl Inbox {
    fn new(context: Context, desk: Desk, ailing: Arc<Mutex<Ailing>>, weight: Weight) -> Self {
        Self { context, desk, scanner: Scanner::default(), ailing, weight, taken_grew: true }
    }

    /// Another one for the same files, in the place of one that is lost.
    pub(super) fn another(&self) -> Self {
        Self::new(self.context.clone(), self.desk.clone(), Arc::clone(&self.ailing), self.weight)
    }

    /// The weight of its files.
    pub(super) fn weight(&self) -> Weight {
        self.weight
    }

    fn ailing(&self) -> MutexGuard<'_, Ailing> {
        self.ailing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the files that are ready, and says how long until it should be looked at again, where that is sooner than usual.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub(super) fn look(&mut self, renamed: &BTreeSet<PathBuf>, stop: &Stop) -> io::Result<Option<Duration>> {
        if self.context.telemetry.board().storage_full() {
            if !has_room(self.context.state.root()) {
                return Ok(Some(FULL_PAUSE));
            }
            self.context.telemetry.emit(StorageFull(false));
        }
        let inbox = self.context.state.inbox().to_owned();
        self.ailing().keep_existing(|name| inbox.join(name).symlink_metadata().is_ok());
        let settle = Duration::from_secs_f64(self.context.config.current().ingest.settle_seconds);
        let times = (SystemTime::now(), Instant::now());
        let (ailing, weight) = (Arc::clone(&self.ailing), self.weight);
        let skip = |name: &OsStr, identity: &Identity| {
            let ailing = ailing.lock().unwrap_or_else(PoisonError::into_inner);
            Weight::of(name, identity) != weight || ailing.skips(name, identity, times.1)
        };
        let Scan { ready, more, settles_in } = self.scanner.scan(&inbox, renamed, settle, times, skip)?;
        let mut again = more.then_some(Duration::ZERO).or(settles_in);
        for path in ready {
            if stop.is_set() {
                break;
            }
            match self.handle(&path, stop) {
                Ok(()) => {}
                Err(Halt::Full) => {
                    again = Some(FULL_PAUSE);
                    break;
                }
                Err(Halt::Stopped) => break,
            }
        }
        if std::mem::take(&mut self.taken_grew) {
            prune::after_files_were_taken(&self.context, &self.context.config.current());
        }
        let (set_aside, named) = self.ailing().set_aside();
        self.context.telemetry.emit(InboxLooked { set_aside, named });
        if self.ailing().is_full() {
            return Ok(Some(ailing::PAUSE_MAX));
        }
        let next = self.ailing().next_in(Instant::now());
        Ok(again.into_iter().chain(next).min())
    }

    fn handle(&mut self, path: &Path, stop: &Stop) -> Result<(), Halt> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let (file, identity) = match open_regular(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let identity = path.symlink_metadata().ok().map(|metadata| Identity::of(&metadata));
                self.failed(&name, identity, None, format!("it cannot be opened: {error}"));
                return Ok(());
            }
        };
        let before = self.ailing().judged(&name, &identity);
        let judged = match before {
            Some(judged) => judged,
            None => match self.judge(&file, &name, identity, stop)? {
                Some(judged) => judged,
                None => return Ok(()),
            },
        };
        let changed = file.metadata().map_or(true, |metadata| Identity::of(&metadata) != identity);
        if changed {
            // Somebody goes on writing: what came after the end that was read must not be moved away unread.
            self.ailing().forget(&name);
            return Ok(());
        }
        self.put_away(path, &file, identity, judged);
        Ok(())
    }

    /// Takes a file in. `None` where that failed and is tried again.
    fn judge(&mut self, file: &File, name: &OsStr, identity: Identity, stop: &Stop) -> Result<Option<Judged>, Halt> {
        let shown = source_name(&name.to_string_lossy());
        let taken = match file.try_clone() {
            Ok(file) => self.desk.take_file(file, &shown, stop),
            Err(error) => Err(IntakeError::Storage(error.into())),
        };
        let error = match taken {
            Ok(_) => return Ok(Some(Judged::Taken)),
            Err(IntakeError::Unreadable { reason, .. } | IntakeError::Incomplete { reason, .. }) => {
                return Ok(Some(Judged::Quarantined(reason)));
            }
            Err(IntakeError::Stopped) => return Err(Halt::Stopped),
            Err(error) => error,
        };
        let full = matches!(error, IntakeError::StorageFull(_));
        let reason = told(anyhow::Error::from(error));
        if full {
            let (file, reason) = (&*shown, Some(reason));
            self.context.telemetry.emit(FileHandled { file, outcome: FileOutcome::Failed, reason });
            return Err(Halt::Full);
        }
        self.failed(name, Some(identity), None, reason);
        Ok(None)
    }

    fn put_away(&mut self, path: &Path, file: &File, identity: Identity, judged: Judged) {
        let name = path.file_name().unwrap_or_default();
        let folder = match judged {
            Judged::Taken => self.context.state.taken(),
            Judged::Quarantined(_) => self.context.state.quarantined_files(),
        };
        if let Err(error) = move_into(path, file, &folder) {
            let reason = format!("it was read, and cannot be moved to {}: {error}", folder.display());
            return self.failed(name, Some(identity), Some(judged), reason);
        }
        self.ailing().forget(name);
        let shown = source_name(&name.to_string_lossy());
        let (outcome, reason) = match judged {
            Judged::Taken => {
                self.taken_grew = true;
                (FileOutcome::Taken, None)
            }
            Judged::Quarantined(reason) => (FileOutcome::Quarantined, Some(reason)),
        };
        self.context.telemetry.emit(FileHandled { file: &shown, outcome, reason });
    }

    fn failed(&mut self, name: &OsStr, identity: Option<Identity>, judged: Option<Judged>, reason: String) {
        let attempts_max = self.context.config.current().ingest.attempts_max;
        let aside = self.ailing().failed(name, identity, judged, reason.clone(), attempts_max);
        let outcome = if aside { FileOutcome::SetAside } else { FileOutcome::Failed };
        let shown = source_name(&name.to_string_lossy());
        self.context.telemetry.emit(FileHandled { file: &shown, outcome, reason: Some(reason) });
    }
}

/// Whether the state directory's disk has room for more.
fn has_room(root: &Path) -> bool {
    fs4::available_space(root).is_ok_and(|bytes| bytes >= ROOM_BYTES_MIN)
}
