use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    time::{Duration, Instant},
};

use super::Judged;
use crate::{answers::SetAside, files::Identity};

/// Files that are remembered at most; further ones that fail are tried at every look, and looks are then [`PAUSE_MAX`] apart.
const AILING_FILES_MAX: usize = 10_000;

/// Files that are set aside and named in the status; the others are counted.
const NAMED_MAX: usize = 20;

/// The pause after the first failure of a file; it grows by [`PAUSE_GROWTH`] with each.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// See [`PAUSE_FIRST`].
const PAUSE_GROWTH: u32 = 4;

/// The longest pause.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Files that could not be taken or moved, until they change.
#[derive(Debug, Default)]
pub(super) struct Ailing {
    files: BTreeMap<OsString, Ailment>,
}

#[derive(Debug)]
struct Ailment {
    identity: Option<Identity>,
    attempts: u32,
    reason: String,
    /// What was made of it, where only the move is left to do.
    judged: Option<Judged>,
    /// When it is tried again; `None` where it is set aside.
    again: Option<Instant>,
}

impl Ailing {
    /// Whether a file waits for its next attempt, or waits for ever.
    pub(super) fn skips(&self, name: &OsStr, identity: &Identity, now: Instant) -> bool {
        let Some(ailment) = self.files.get(name) else { return false };
        let unchanged = ailment.identity.is_none_or(|before| before == *identity);
        unchanged && ailment.again.is_none_or(|again| again > now)
    }

    /// What was made of a file before, which has not changed since.
    pub(super) fn judged(&self, name: &OsStr, identity: &Identity) -> Option<Judged> {
        let ailment = self.files.get(name).filter(|ailment| ailment.identity == Some(*identity))?;
        ailment.judged.clone()
    }

    /// Notes a failure, and says whether the file is set aside now.
    pub(super) fn failed(
        &mut self,
        name: &OsStr,
        identity: Option<Identity>,
        judged: Option<Judged>,
        reason: String,
        attempts_max: u32,
    ) -> bool {
        let before = self.files.get(name).filter(|ailment| ailment.identity == identity);
        let attempts = before.map_or(0, |ailment| ailment.attempts) + 1;
        let again = (attempts < attempts_max).then(|| Instant::now() + pause(attempts));
        if self.files.len() < AILING_FILES_MAX || self.files.contains_key(name) {
            self.files.insert(name.to_owned(), Ailment { identity, attempts, reason, judged, again });
        }
        again.is_none()
    }

    /// Whether so many files fail that no more are remembered.
    pub(super) fn is_full(&self) -> bool {
        self.files.len() >= AILING_FILES_MAX
    }

    /// Forgets a file that is dealt with.
    pub(super) fn forget(&mut self, name: &OsStr) {
        self.files.remove(name);
    }

    /// Forgets files that are gone.
    pub(super) fn keep_existing(&mut self, exists: impl Fn(&OsStr) -> bool) {
        self.files.retain(|name, _| exists(name));
    }

    /// How long until the next attempt is due.
    pub(super) fn next_in(&self, now: Instant) -> Option<Duration> {
        self.files.values().filter_map(|ailment| ailment.again).min().map(|again| again.saturating_duration_since(now))
    }

    /// The files that are set aside: their number, and the first of them.
    pub(super) fn set_aside(&self) -> (u64, Vec<SetAside>) {
        let aside = || self.files.iter().filter(|(_, ailment)| ailment.again.is_none());
        let named = aside().take(NAMED_MAX).map(|(name, ailment)| SetAside {
            file: perennial_data::rows::source_name(&name.to_string_lossy()),
            attempts: ailment.attempts,
            reason: ailment.reason.clone(),
        });
        (aside().count() as u64, named.collect())
    }
}

fn pause(attempts: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(PAUSE_GROWTH.saturating_pow(attempts - 1)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(bytes: usize) -> Identity {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![0; bytes]).unwrap();
        Identity::of(&file.as_file().metadata().unwrap())
    }

    #[test]
    fn a_file_is_tried_with_growing_pauses_and_then_set_aside_until_it_changes() {
        let mut ailing = Ailing::default();
        let (name, identity, other) = (OsStr::new("a"), identity(1), identity(2));
        let mut due = Instant::now();
        for attempt in 1..=3 {
            assert!(!ailing.skips(name, &identity, due));
            let aside = ailing.failed(name, Some(identity), None, "no".into(), 3);
            assert_eq!(aside, attempt == 3);
            assert!(ailing.skips(name, &identity, due));
            due = Instant::now() + pause(attempt);
        }
        assert!(ailing.skips(name, &identity, Instant::now() + Duration::from_secs(1 << 30)));
        assert_eq!(ailing.next_in(Instant::now()), None);
        let (count, named) = ailing.set_aside();
        assert_eq!((count, named[0].attempts, named[0].reason.as_str()), (1, 3, "no"));
        assert!(!ailing.skips(name, &other, Instant::now()));
        assert!(!ailing.failed(name, Some(other), None, "no".into(), 3), "a changed file begins anew");
        ailing.forget(name);
        assert_eq!(ailing.set_aside().0, 0);
    }

    #[test]
    fn pauses_end_at_the_longest() {
        assert_eq!([pause(1), pause(2), pause(3)].map(|pause| pause.as_secs()), [1, 4, 16]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
