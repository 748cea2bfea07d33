use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use reqwest::{
    StatusCode,
    blocking::{Client, Response},
    header::RANGE,
};

use super::{known::PinnedFile, watch::Watch};

/// A hub that does not answer within this time is out of reach: another source is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A transfer that gives nothing for this long is broken off; it goes on from there the next time.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const CHUNK_BYTES: usize = 256 << 10;

/// A client for large files.
pub(super) fn client() -> reqwest::Result<Client> {
    client_that_waits(READ_TIMEOUT)
}

/// A blocking client's limit of time is not one of the whole transfer, but of its answer and then of each read.
fn client_that_waits(limit: Duration) -> reqwest::Result<Client> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(limit)
        .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Brings a file, going on where a former try left off in `part`.
///
/// # Errors
/// Where the server does not answer, refuses, or sends another number of bytes than the pinned one.
pub(super) fn resume(
    client: &Client,
    url: &str,
    pinned: &PinnedFile,
    part: &Path,
    watch: &Watch<'_>,
) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(part)?;
    let mut have = file.metadata()?.len();
    if have > pinned.bytes {
        file.set_len(0)?;
        have = 0;
    }
    if have < pinned.bytes {
        let mut response = request(client, url, have)?;
        if have > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            file.set_len(0)?;
            have = 0;
        }
        have += append(&mut response, &mut file, |got| watch.bytes(pinned.name, have + got, pinned.bytes))?;
    }
    file.sync_all()?;
    if have != pinned.bytes {
        bail!("{url} ended after {have} of {} bytes: try again, it goes on from there", pinned.bytes);
    }
    Ok(())
}

fn request(client: &Client, url: &str, from: u64) -> anyhow::Result<Response> {
    let request = client.get(url);
    let request = if from > 0 { request.header(RANGE, format!("bytes={from}-")) } else { request };
    Ok(request.send()?.error_for_status()?)
}

fn append(response: &mut Response, file: &mut File, on_bytes: impl Fn(u64)) -> anyhow::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut got = 0;
    loop {
        let read = response.read(&mut chunk).context("the transfer broke off: try again, it goes on from there")?;
        if read == 0 {
            return Ok(got);
        }
        file.write_all(&chunk[..read])?;
        got += read as u64;
        on_bytes(got);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;

    const CONTENT: &[u8] = b"the weights of a very small model";
    const HALF: usize = CONTENT.len() / 2;

    /// Breaks off in the middle of a whole answer, and gives the rest to whoever asks for that.
    fn answer(mut stream: TcpStream) {
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let from = head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let (status, length, body) = match from {
            None => ("200 OK", CONTENT.len(), &CONTENT[..HALF]),
            Some(from) => {
                let from: usize = from.trim_end_matches('-').parse().unwrap();
                ("206 Partial Content", CONTENT.len() - from, &CONTENT[from..])
            }
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
    }

    #[test]
    fn transfer_that_broke_off_goes_on_where_it_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/weights", listener.local_addr().unwrap());
        let server = thread::spawn(move || listener.incoming().take(2).for_each(|stream| answer(stream.unwrap())));
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("weights.part");
        let pinned = PinnedFile { name: "weights", bytes: CONTENT.len() as u64, sha256: "" };
        let watch = Watch { on_bytes: &|_, _, _| {}, on_note: &|_| {} };
        let client = client().unwrap();
        assert!(resume(&client, &url, &pinned, &part, &watch).is_err());
        assert_eq!(std::fs::read(&part).unwrap(), &CONTENT[..HALF]);
        resume(&client, &url, &pinned, &part, &watch).unwrap();
        assert_eq!(std::fs::read(&part).unwrap(), CONTENT);
        // A whole file asks for nothing: the server is gone.
        server.join().unwrap();
        resume(&client, &url, &pinned, &part, &watch).unwrap();
    }

    #[test]
    fn server_that_falls_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/weights", listener.local_addr().unwrap());
        let client = client_that_waits(Duration::from_millis(200)).unwrap();
        // Connections are made by the system, and nobody answers.
        assert!(client.get(&url).send().unwrap_err().is_timeout());
        let server = thread::spawn(move || {
            let mut stream = listener.incoming().nth(1).unwrap().unwrap();
            let asked = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            asked.take_while(|line| !line.is_empty()).for_each(drop);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
            stream
        });
        let mut file = tempfile::tempfile().unwrap();
        let mut response = client.get(&url).send().unwrap();
        let error = format!("{:#}", append(&mut response, &mut file, |_| {}).unwrap_err());
        assert!(error.contains("broke off"), "{error}");
        drop(server.join().unwrap());
    }
}
