use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Fingerprint, FingerprintError};

/// Names a sample: the fingerprint of what it teaches (body and reference), so that a row sent twice has one id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleId(pub Fingerprint);

/// Names a cycle: 1, 2, 3 … in a state directory, shown with six digits (`000001`), as its folder is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CycleId(pub u64);

/// Names an adapter: the first twelve digits of the fingerprint of its files, so that the same bytes have the same name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdapterId(String);

/// A text that names no cycle or adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a positive number.
    #[error("a cycle is named by its number, such as 1 or 000001, not {0:?}")]
    Cycle(String),
    /// Not twelve hexadecimal digits.
    #[error("an adapter is named by twelve hexadecimal digits, as `perennial adapters` lists them, not {0:?}")]
    Adapter(String),
}

const ADAPTER_DIGITS: usize = 12;

/// How much of a text that is no id an error repeats, in characters.
const TEXT_CHARS_MAX: usize = 64;

impl AdapterId {
    /// The name of the adapter whose files have this fingerprint.
    pub fn of(files: &Fingerprint) -> Self {
        Self(files.short(ADAPTER_DIGITS))
    }

    /// The name as text, which is also the name of the adapter's folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short(ADAPTER_DIGITS))
    }
}

impl FromStr for SampleId {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for CycleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl fmt::Debug for CycleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CycleId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            // The registry counts in signed integers.
            Ok(number) if (1..=i64::MAX as u64).contains(&number) => Ok(Self(number)),
            _ => Err(IdError::Cycle(text.chars().take(TEXT_CHARS_MAX).collect())),
        }
    }
}

impl fmt::Display for AdapterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AdapterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AdapterId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == ADAPTER_DIGITS && text.bytes().all(lower_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Adapter(text.chars().take(TEXT_CHARS_MAX).collect()))
        }
    }
}

impl Serialize for AdapterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AdapterId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycle_is_shown_as_its_folder_is_named() {
        assert_eq!(CycleId(7).to_string(), "000007");
        assert_eq!("000007".parse(), Ok(CycleId(7)));
        for bad in ["0", "-1", "18446744073709551615", "9223372036854775808"] {
            assert!(bad.parse::<CycleId>().is_err(), "{bad}");
        }
        assert!("9".repeat(9000).parse::<CycleId>().unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn adapter_name_cannot_leave_its_folder() {
        assert!("../../etc/pw".parse::<AdapterId>().is_err());
        let id = AdapterId::of(&Fingerprint::of(b"weights"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
