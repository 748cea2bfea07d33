use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use listenfd::ListenFd;

use crate::config::{Listen, SocketMode};

/// Where requests come in: a socket of the daemon's own, or one that systemd holds for it.
#[derive(Debug)]
pub(crate) enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A Unix socket, and its path where it has one.
    Unix(UnixListener, Option<PathBuf>),
}

impl Listener {
    /// Opens a socket. Another Unix socket of the same path is replaced, unless somebody answers there.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub(crate) fn bind(listen: &Listen, mode: SocketMode) -> anyhow::Result<Self> {
        let bound = match listen {
            Listen::Tcp(address) => TcpListener::bind(address).map(Self::Tcp).map_err(anyhow::Error::from),
            Listen::Unix(path) => bind_unix(path, mode).map(|listener| Self::Unix(listener, Some(path.clone()))),
        };
        bound.with_context(|| format!("`http.listen`: {listen} cannot be bound"))
    }

    /// The sockets that systemd passed, in its order; empty where it passed none.
    ///
    /// # Errors
    /// Where one is neither a TCP nor a Unix stream socket.
    pub(crate) fn passed() -> anyhow::Result<Vec<Self>> {
        let mut passed = ListenFd::from_env();
        (0..passed.len()).filter_map(|index| take(&mut passed, index).transpose()).collect()
    }

    /// Where it is reached; `None` for a Unix socket without a path.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub(crate) fn address(&self) -> io::Result<Option<Listen>> {
        Ok(match self {
            Self::Tcp(listener) => Some(Listen::Tcp(listener.local_addr()?)),
            Self::Unix(_, Some(path)) => Some(Listen::Unix(path.clone())),
            Self::Unix(listener, None) => {
                listener.local_addr()?.as_pathname().map(|path| Listen::Unix(path.to_owned()))
            }
        })
    }
}

fn take(passed: &mut ListenFd, index: usize) -> anyhow::Result<Option<Listener>> {
    if let Ok(listener) = passed.take_tcp_listener(index) {
        return Ok(listener.map(Listener::Tcp));
    }
    let listener = passed.take_unix_listener(index);
    let listener = listener.with_context(|| format!("the socket {index} that was passed listens to no stream"))?;
    Ok(listener.map(|listener| Listener::Unix(listener, None)))
}

/// The socket appears under its name with its mode: nobody can open it before.
fn bind_unix(path: &Path, SocketMode(mode): SocketMode) -> anyhow::Result<UnixListener> {
    if let Ok(metadata) = path.symlink_metadata() {
        if !metadata.file_type().is_socket() {
            bail!("something else than a socket is there: move it away");
        }
        if UnixStream::connect(path).is_ok() {
            bail!("another process answers there");
        }
    }
    let mut hidden = path.file_name().context("the path names no file")?.to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = path.with_file_name(hidden);
    let _ = fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).context("is its folder there, and may it be written?")?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(mode))?;
    fs::rename(&hidden, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_its_mode_and_replaces_one_that_nobody_answers_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        let listen = Listen::Unix(path.clone());
        let first = Listener::bind(&listen, SocketMode(0o600)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.address().unwrap(), Some(listen.clone()));
        UnixStream::connect(&path).unwrap();
        let taken = format!("{:#}", Listener::bind(&listen, SocketMode(0o600)).unwrap_err());
        assert!(taken.contains("answers there"), "{taken}");
        drop(first);
        Listener::bind(&listen, SocketMode(0o660)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other name is left");
    }

    #[test]
    fn a_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        fs::write(&path, "precious").unwrap();
        let error = format!("{:#}", Listener::bind(&Listen::Unix(path.clone()), SocketMode(0o600)).unwrap_err());
        assert!(error.contains("move it away"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
