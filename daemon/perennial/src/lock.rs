//! One writer for a state directory: the daemon, or one command at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::Duration,
};

use perennial_durable::write_durably;
use serde::{Deserialize, Serialize};

use crate::{config::Listen, state::StateDir};

/// The group may ask who holds the lock.
const LOCK_MODE: u32 = 0o640;

/// Held while somebody writes in a state directory; released when it is dropped, or when the process ends however it ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// Why a state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else has it.
    #[error("the state directory {state} is in use by {holder}: wait for it, or stop it")]
    Held {
        /// The state directory.
        state: PathBuf,
        /// The process that holds it, as it described itself.
        holder: String,
    },
    #[error(
        "the state directory {state} cannot be used: check that it may be written by this user, or choose another with --state"
    )]
    Io {
        /// The state directory.
        state: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl StateLock {
    /// Makes the state directory where it is missing, and takes it. `what` describes this process to others.
    ///
    /// # Errors
    /// Where another process holds it, or it cannot be written.
    pub(crate) fn take(state: &StateDir, what: &str) -> Result<Self, LockError> {
        let io = |source| LockError::Io { state: state.root().to_owned(), source };
        state.create().map_err(|error| io(error.source))?;
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(LOCK_MODE).clone();
        let mut file = options.open(state.lock()).map_err(io)?;
        match try_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Err(LockError::Held { state: state.root().to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // What stood there was left by a process that is gone.
        let _ = std::fs::remove_file(state.daemon());
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)).map(drop)).map_err(io)?;
        write!(file, "`{what}`, process {}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// [`DaemonFile::find`] holds the lock for a moment; that is not being in use.
fn try_patiently(file: &File) -> Result<(), TryLockError> {
    const TRIES: usize = 5;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

/// How the daemon that runs on a state directory is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DaemonFile {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it answers HTTP.
    pub(crate) address: Listen,
    pub(crate) version: String,
}

impl DaemonFile {
    /// The daemon that runs on a state directory; `None` where nobody holds the lock.
    pub(crate) fn find(state: &StateDir) -> Option<Self> {
        let lock = File::open(state.lock()).ok()?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => serde_json::from_slice(&std::fs::read(state.daemon()).ok()?).ok(),
            _ => None,
        }
    }

    /// How a command on this machine reaches a daemon that listens there: best by a Unix socket.
    pub(crate) fn address_of(listens: &[Listen]) -> Option<Listen> {
        let mut listens: Vec<&Listen> = listens.iter().collect();
        listens.sort_by_key(|listen| (!matches!(listen, Listen::Unix(_)), listen.is_remote()));
        let mut address = listens.first().copied().cloned()?;
        if let Listen::Tcp(socket) = &mut address {
            match socket.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => socket.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => socket.set_ip(Ipv6Addr::LOCALHOST.into()),
                _ => {}
            }
        }
        Some(address)
    }

    /// Says where this daemon is reached.
    pub(crate) fn write(&self, state: &StateDir) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        write_durably(&state.daemon(), &text).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_taker_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path(), None);
        let held = StateLock::take(&state, "perennial run").unwrap();
        let error = StateLock::take(&state, "perennial ingest").unwrap_err().to_string();
        assert!(error.contains("in use by `perennial run`, process"), "{error}");
        drop(held);
        StateLock::take(&state, "perennial ingest").unwrap();
    }

    #[test]
    fn commands_prefer_what_needs_no_token() {
        let listen = |text: &str| Listen::try_from(text.to_owned()).unwrap();
        let best = |listens: &[&str]| {
            let listens: Vec<Listen> = listens.iter().map(|text| listen(text)).collect();
            DaemonFile::address_of(&listens).map(String::from)
        };
        assert_eq!(best(&["0.0.0.0:1", "127.0.0.1:2", "unix:/p"]).as_deref(), Some("unix:/p"));
        assert_eq!(best(&["10.0.0.1:1", "127.0.0.1:2"]).as_deref(), Some("127.0.0.1:2"));
        assert_eq!(best(&["0.0.0.0:1"]).as_deref(), Some("127.0.0.1:1"));
        assert_eq!(best(&["[::]:1"]).as_deref(), Some("[::1]:1"));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn daemon_is_found_only_while_it_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path(), None);
        let held = StateLock::take(&state, "perennial run").unwrap();
        let daemon = DaemonFile { pid: 1, address: Listen::Tcp(([127, 0, 0, 1], 9).into()), version: "0".into() };
        daemon.write(&state).unwrap();
        assert_eq!(DaemonFile::find(&state), Some(daemon));
        drop(held);
        assert_eq!(DaemonFile::find(&state), None);
    }
}
