//! What targets behind HTTP share: one bounded request, sent straight to where it was configured to go.

use std::time::Duration;

use perennial_types::shortened;
use reqwest::{Client, Method, Response, Url, redirect::Policy};
use tokio::runtime::Handle;

use crate::PublishError;

/// How much of a refusal is read, in bytes …
const REFUSAL_BYTES_MAX: usize = 4096;
/// … and passed on, in characters.
const REFUSAL_CHARS_MAX: usize = 200;

/// One request.
#[derive(Debug)]
pub struct Request<'a> {
    /// GET, POST and so on.
    pub method: Method,
    /// Where to. Redirects are not followed, and no proxy is asked: nobody else is sent what was meant for this place.
    pub url: &'a Url,
    /// Headers besides the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// How long connecting, sending and answering may take together.
    pub timeout: Duration,
    /// How much of an answer is read, in bytes; 0 where only its status matters. A longer one is refused.
    pub answer_bytes_max: usize,
}

/// Sends it, from a thread that may wait, and succeeds where the answer is one of success (2xx). Returns its body.
///
/// # Errors
/// Where there is no answer in time, another one, or a longer one.
pub fn send(runtime: &Handle, request: Request<'_>) -> Result<Vec<u8>, PublishError> {
    let place = place(request.url);
    let Request { method, url, headers, body, timeout, answer_bytes_max } = request;
    runtime.block_on(async {
        let no_answer = |error: reqwest::Error| PublishError::NoAnswer {
            place: place.clone(),
            // The address may hold a secret.
            source: error.without_url(),
        };
        let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(timeout).build();
        let mut request = client.map_err(no_answer)?.request(method, url.clone()).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut answer = request.send().await.map_err(no_answer)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(PublishError::Refused { place: place.clone(), status, text: refusal(answer).await });
        }
        let mut read = Vec::new();
        while answer_bytes_max > 0
            && let Some(piece) = answer.chunk().await.map_err(no_answer)?
        {
            if read.len() + piece.len() > answer_bytes_max {
                return Err(PublishError::TooLong { place: place.clone(), bytes_max: answer_bytes_max });
            }
            read.extend_from_slice(&piece);
        }
        Ok(read)
    })
}

/// Where it is, without what may be secret: user, path and query.
pub fn place(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// The beginning of what a refusal says, on one line.
async fn refusal(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        let room = REFUSAL_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        if bytes.len() >= REFUSAL_BYTES_MAX {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.trim() {
        "" => String::new(),
        line => format!(": {}", shortened(line, REFUSAL_CHARS_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use tokio::runtime::Runtime;

    use super::*;

    /// What comes of one request to a server that answers so.
    fn outcome(answer: String) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:secret@{}/hidden?token=secret", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer.as_bytes());
            thread::sleep(Duration::from_millis(300));
        });
        let (url, timeout) = (url.parse().unwrap(), Duration::from_millis(200));
        let runtime = Runtime::new().unwrap();
        let (method, body) = (Method::POST, b"{}".to_vec());
        let request = Request { method, url: &url, headers: Vec::new(), body, timeout, answer_bytes_max: 8 };
        let sent = send(runtime.handle(), request);
        server.join().unwrap();
        sent.map(|body| String::from_utf8(body).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_success_is_success_and_nothing_is_followed_or_read_without_end() {
        assert_eq!(outcome("HTTP/1.1 204 No Content\r\n\r\n".into()), Ok(String::new()));
        let told = |text: &str| outcome(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()));
        assert_eq!(told("12345678"), Ok("12345678".to_owned()));
        assert!(told("123456789").is_err_and(|text| text.contains("more than 8 bytes")));
        let redirect =
            outcome("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".into());
        assert!(redirect.as_ref().is_err_and(|text| text.contains("302 Found")), "{redirect:?}");
        let long = "no\x1b[31m".to_owned() + &"x".repeat(100_000);
        let refused = outcome(format!("HTTP/1.1 500 Internal Server Error\r\n\r\n{long}")).unwrap_err();
        assert!(refused.len() < 400 && !refused.contains('\x1b') && refused.contains(": no [31m"), "{refused}");
        let silent = outcome(String::new()).unwrap_err();
        for text in [redirect.unwrap_err(), refused, silent] {
            assert!(
                text.contains("http://127.0.0.1:") && !text.contains("secret") && !text.contains("hidden"),
                "{text}"
            );
        }
    }
}
