use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The replayed share of a mix: a number, or whatever the last decisions make of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ratio {
    /// This share.
    Fixed(f64),
    /// Within `replay.auto_ratio_min` and `replay.auto_ratio_max`, by what fell.
    Auto,
}

/// As the configuration writes it.
const AUTO: &str = "auto";

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(ratio) => serializer.serialize_f64(*ratio),
            Self::Auto => serializer.serialize_str(AUTO),
        }
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RatioVisitor)
    }
}

struct RatioVisitor;

impl de::Visitor<'_> for RatioVisitor {
    type Value = Ratio;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number or \"{AUTO}\"")
    }

    fn visit_f64<E>(self, ratio: f64) -> Result<Ratio, E> {
        Ok(Ratio::Fixed(ratio))
    }

    fn visit_i64<E>(self, ratio: i64) -> Result<Ratio, E> {
        Ok(Ratio::Fixed(ratio as f64))
    }

    fn visit_u64<E>(self, ratio: u64) -> Result<Ratio, E> {
        Ok(Ratio::Fixed(ratio as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ratio, E> {
        match text {
            AUTO => Ok(Ratio::Auto),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ratio_is_a_number_or_a_word() {
        let read = |value| serde_json::from_value::<Ratio>(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(0.25)), Ok(Ratio::Fixed(0.25)));
        assert_eq!(read(json!(0)), Ok(Ratio::Fixed(0.0)));
        assert_eq!(read(json!("auto")), Ok(Ratio::Auto));
        assert!(read(json!("more")).unwrap_err().contains("a number or \"auto\""));
        for ratio in [Ratio::Fixed(0.25), Ratio::Auto] {
            assert_eq!(read(serde_json::to_value(ratio).unwrap()), Ok(ratio));
        }
    }
}
