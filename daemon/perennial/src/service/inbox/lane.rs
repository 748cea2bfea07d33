use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::Inbox;
use crate::{files::Identity, ports::Context, service::Desk};

/// Larger files are heavy.
const LIGHT_BYTES_MAX: u64 = 8 << 20;

/// Larger compressed files are heavy.
const LIGHT_COMPRESSED_BYTES_MAX: u64 = 256 << 10;

/// How compressed files are named.
const COMPRESSED_ENDINGS: [&[u8]; 3] = [b".gz", b".zst", b".zstd"];

/// Files that are remembered as renamed in until they are looked at; further ones are taken once they have settled.
const RENAMED_MAX: usize = 10_000;

/// How long a file may take to be read: heavy ones are taken beside the light ones, so that these never wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Soon over.
    Light,
    /// Anything else.
    Heavy,
}

impl Weight {
    pub(super) fn of(name: &OsStr, identity: &Identity) -> Self {
        let compressed = COMPRESSED_ENDINGS.iter().any(|ending| name.as_bytes().ends_with(ending));
        let bytes_max = if compressed { LIGHT_COMPRESSED_BYTES_MAX } else { LIGHT_BYTES_MAX };
        if identity.bytes() <= bytes_max { Self::Light } else { Self::Heavy }
    }
}

/// The inbox's files of one weight, as the loop sees them.
pub(crate) struct Lane {
    weight: Weight,
    /// `None` while somebody looks.
    inbox: Option<Inbox>,
    look_at: Instant,
    renamed: BTreeSet<PathBuf>,
}

impl Lane {
    /// All lanes of the inbox.
    pub(crate) fn all(context: &Context, desk: &Desk) -> [Self; 2] {
        let ailing = Arc::new(Mutex::default());
        [Weight::Light, Weight::Heavy].map(|weight| {
            let inbox = Inbox::new(context.clone(), desk.clone(), Arc::clone(&ailing), weight);
            Self { weight, inbox: Some(inbox), look_at: Instant::now(), renamed: BTreeSet::new() }
        })
    }

    /// The weight of its files.
    pub(crate) fn weight(&self) -> Weight {
        self.weight
    }

    /// Something happened in the folder; these files were renamed in.
    pub(crate) fn changed(&mut self, renamed: &BTreeSet<PathBuf>) {
        let room = RENAMED_MAX.saturating_sub(self.renamed.len());
        self.renamed.extend(renamed.iter().take(room).cloned());
        self.look_at = Instant::now();
    }

    /// It should be looked at after so long at the latest.
    pub(crate) fn look_within(&mut self, pause: Duration) {
        self.look_at = self.look_at.min(Instant::now() + pause);
    }

    /// When it should be looked at; `None` while somebody does.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.inbox.as_ref().map(|_| self.look_at)
    }

    /// What to look with, and the files that were renamed in, where it is time; the next look comes after `rescan`.
    pub(crate) fn begin(&mut self, rescan: Duration) -> Option<(Inbox, BTreeSet<PathBuf>)> {
        if self.look_at > Instant::now() {
            return None;
        }
        let inbox = self.inbox.take()?;
        self.look_at = Instant::now() + rescan;
        Some((inbox, std::mem::take(&mut self.renamed)))
    }

    /// The look is over.
    pub(crate) fn end(&mut self, inbox: Inbox) {
        self.inbox = Some(inbox);
    }
}
