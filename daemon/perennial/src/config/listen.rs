use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `http.listen`: where HTTP is answered, and where a daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
}

/// What stands before the path of a Unix socket.
const UNIX_PREFIX: &str = "unix:";

impl Listen {
    /// Whether other machines may reach it.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX_PREFIX).filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let explain = |_| {
            format!("{text:?} is neither an address such as 127.0.0.1:7411 nor a path such as unix:/run/perennial.sock")
        };
        text.parse().map(Self::Tcp).map_err(explain)
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

/// `http.socket_mode`: who may open a Unix socket, as `chmod` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SocketMode(pub(crate) u32);

impl TryFrom<String> for SocketMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777 && text.len() >= 3);
        mode.map(Self).ok_or_else(|| format!("{text:?} is no mode: write it as chmod does, \"0660\""))
    }
}

impl From<SocketMode> for String {
    fn from(SocketMode(mode): SocketMode) -> Self {
        format!("{mode:04o}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart_and_written_as_they_were_read() {
        for (text, remote) in
            [("127.0.0.1:7411", false), ("[::1]:1", false), ("0.0.0.0:7411", true), ("unix:/run/p.sock", false)]
        {
            let listen = Listen::try_from(text.to_owned()).unwrap();
            assert_eq!((String::from(listen.clone()).as_str(), listen.is_remote()), (text, remote));
        }
        for wrong in ["localhost:7411", "7411", "unix:", ""] {
            Listen::try_from(wrong.to_owned()).unwrap_err();
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(SocketMode::try_from("0660".to_owned()), Ok(SocketMode(0o660)));
        assert_eq!(String::from(SocketMode(0o600)), "0600");
        for wrong in ["rw-rw----", "0689", "1777", "6", "0o660"] {
            assert!(SocketMode::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
