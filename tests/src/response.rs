use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The head as text, with the status line.
    pub head: String,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Where the status is no success, or the body no JSON.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.is_success(), "status {}: {}", self.status, self.body);
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {:?}", self.body))
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads what a server sent, to its end.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of its head")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("the answer has no status")?;
        Ok(Self { status, head: head.to_owned(), body: body.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_body_are_told_apart() {
        let response = Response::parse(b"HTTP/1.0 404 Not Found\r\ncontent-length: 4\r\n\r\nno\r\n").unwrap();
        assert_eq!((response.status, response.body.as_str()), (404, "no\r\n"));
        assert!(response.json().is_err());
        assert!(Response::parse(b"").is_err());
    }
}
