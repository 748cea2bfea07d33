use axum::http::{HeaderMap, HeaderName, header};

use super::ApiError;

/// What a route reads of a request's body. Each type is one that a page cannot send to another site without asking first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    /// A JSON object, which may be left out.
    Json,
    /// Samples in JSON Lines, plain or compressed.
    Rows,
}

const JSON: &[&str] = &["application/json"];

/// The usual names of JSON Lines, of JSON for a single row, and of the compressed files that intake reads.
const ROWS: &[&str] = &[
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/jsonlines",
    "application/json",
    "application/gzip",
    "application/x-gzip",
    "application/zstd",
];

/// Intake sees by itself how rows are compressed.
const ROW_ENCODINGS: &[&str] = &["identity", "gzip", "x-gzip", "zstd"];

const JSON_ENCODINGS: &[&str] = &["identity"];

impl Content {
    /// The types that are taken.
    pub(super) fn types(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Json => JSON,
            Self::Rows => ROWS,
        }
    }

    fn encodings(self) -> &'static [&'static str] {
        match self {
            Self::Nothing | Self::Json => JSON_ENCODINGS,
            Self::Rows => ROW_ENCODINGS,
        }
    }

    /// Refuses a body of another type or encoding, by what the headers say of it.
    pub(super) fn check(self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self == Self::Nothing {
            return Ok(());
        }
        let given = only(headers, &header::CONTENT_TYPE).and_then(essence);
        if !given.is_some_and(|given| self.types().contains(&given.as_str())) {
            return Err(ApiError::wrong_type(self.types()));
        }
        if !headers.contains_key(header::CONTENT_ENCODING) {
            return Ok(());
        }
        let given = only(headers, &header::CONTENT_ENCODING).map(|encoding| encoding.trim().to_ascii_lowercase());
        match given.is_some_and(|given| self.encodings().contains(&given.as_str())) {
            true => Ok(()),
            false => Err(ApiError::wrong_encoding(self.encodings())),
        }
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// A media type without its parameters, in lower case; `None` where the text is none.
fn essence(value: &str) -> Option<String> {
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    let (kind, subtype) = essence.split_once('/')?;
    (is_token(kind) && is_token(subtype)).then_some(essence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(content: Content, named: &[(HeaderName, &str)]) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            headers.append(name, value.parse().unwrap());
        }
        content.check(&headers)
    }

    #[test]
    fn only_json_and_rows_are_taken() {
        for good in ["application/json", "Application/JSON; charset=utf-8", " application/json "] {
            status(Content::Json, &[(header::CONTENT_TYPE, good)]).unwrap();
            status(Content::Rows, &[(header::CONTENT_TYPE, good)]).unwrap();
        }
        for bad in [
            "text/plain",
            "text/plain; application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
            "application/json, text/plain",
            "json",
            "",
            "application/json/x",
        ] {
            status(Content::Json, &[(header::CONTENT_TYPE, bad)]).unwrap_err();
            status(Content::Rows, &[(header::CONTENT_TYPE, bad)]).unwrap_err();
        }
        status(Content::Json, &[]).unwrap_err();
        let twice = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_TYPE, "text/plain")];
        status(Content::Json, &twice).unwrap_err();
        status(Content::Json, &[(header::CONTENT_TYPE, "application/x-ndjson")]).unwrap_err();
        status(Content::Nothing, &[(header::CONTENT_TYPE, "text/plain")]).unwrap();
    }

    #[test]
    fn rows_may_be_compressed() {
        let rows = (header::CONTENT_TYPE, "application/x-ndjson");
        for good in ["gzip", "ZSTD", "identity"] {
            status(Content::Rows, &[rows.clone(), (header::CONTENT_ENCODING, good)]).unwrap();
        }
        status(Content::Rows, &[rows.clone(), (header::CONTENT_ENCODING, "br")]).unwrap_err();
        status(Content::Rows, &[rows, (header::CONTENT_ENCODING, "gzip, gzip")]).unwrap_err();
        let json = (header::CONTENT_TYPE, "application/json");
        status(Content::Json, &[json, (header::CONTENT_ENCODING, "gzip")]).unwrap_err();
    }

    proptest! {
        #[test]
        fn what_a_page_may_send_unasked_never_passes(case in any::<u64>(), rest in "[ -~]{0,40}", at in 0_usize..3) {
            let safe = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"][at];
            let flip = |(index, letter): (usize, char)| match case >> (index % 64) & 1 {
                1 => letter.to_ascii_uppercase(),
                _ => letter,
            };
            let mixed: String = safe.chars().enumerate().map(flip).collect();
            let value = format!("{mixed};{rest}");
            let sent = [(header::CONTENT_TYPE, value.as_str())];
            prop_assert!(status(Content::Rows, &sent).is_err());
            prop_assert!(status(Content::Json, &sent).is_err());
        }

        #[test]
        fn no_value_makes_it_panic(value in "[\\t -~]{0,80}") {
            let _ = essence(&value);
        }
    }
}
