use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{reference, response::Response};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client for one address. HTTP/1.0, a connection per request: an answer ends where the stream ends.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    address: SocketAddr,
}

impl Http {
    /// A client for this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where the daemon listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `GET path`.
    ///
    /// # Errors
    /// Where nothing answers, or with something that is not HTTP.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.send("GET", path, &[], b"")
    }

    /// `POST path` with a body of this type.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Response> {
        self.send("POST", path, &[("Content-Type", content_type)], body)
    }

    /// A request with these headers besides `Host`, which may be among them, and `Content-Length`.
    ///
    /// # Errors
    /// As [`get`](Self::get); and where an answer in JSON is not as docs/openapi.json says.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)
            .with_context(|| format!("nothing listens on {}", self.address))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let own = format!("Host: {}\r\n", self.address);
        let own = if headers.iter().any(|(name, _)| *name == "Host") { String::new() } else { own };
        let others: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.0\r\n{own}{others}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        // A server may refuse a body that is too long before it has read it all; its answer counts, not the broken pipe.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).is_err() && answer.is_empty() {
            sent.context("the request was cut off")?;
        }
        let answer = Response::parse(&answer).with_context(|| format!("{method} {path}"))?;
        reference::check(method, path, &answer)?;
        Ok(answer)
    }
}
