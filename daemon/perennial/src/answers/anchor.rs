//! The anchor, and whom somebody wants to be it.

use std::{convert::Infallible, fmt, str::FromStr};

use perennial_registry::{Pin, PinReason};
use perennial_types::AdapterId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{pin_schema, schemas};

/// Whom somebody names to be pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) enum Whom {
    /// The base model without an adapter.
    Base,
    /// Whoever is in service.
    Champion,
    /// An adapter, by its id.
    Named(String),
}

impl From<String> for Whom {
    fn from(name: String) -> Self {
        match name.as_str() {
            "base" => Self::Base,
            "champion" => Self::Champion,
            _ => Self::Named(name),
        }
    }
}

impl From<Whom> for String {
    fn from(whom: Whom) -> Self {
        whom.to_string()
    }
}

impl FromStr for Whom {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.to_owned().into())
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Champion => f.write_str("champion"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The answer to a pin, and part of the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Anchor {
    /// The anchor; `None` is the base model.
    #[schema(value_type = Option<schemas::AdapterId>)]
    pub(crate) adapter: Option<AdapterId>,
    /// The pin that made it so; `None` where nobody pinned one, and the base model stands in for it.
    #[schema(value_type = Option<pin_schema::Pin>)]
    pub(crate) pin: Option<Pin>,
}

/// `perennial pin`, `GET /v1/pin`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Pins {
    /// The anchor.
    pub(crate) anchor: Anchor,
    /// Every pin, the oldest first.
    #[schema(value_type = Vec<pin_schema::Pin>)]
    pub(crate) history: Vec<Pin>,
}

/// The body of `POST /v1/pin`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPin {
    /// An adapter's id, `champion` or `base`.
    #[schema(value_type = String)]
    pub(crate) adapter: Whom,
    /// Why, for the record.
    #[serde(default)]
    pub(crate) reason: String,
}

impl Anchor {
    pub(crate) fn name(&self) -> String {
        adapter_name(self.adapter.as_ref())
    }
}

/// The name of an adapter, or of what stands in for one.
pub(crate) fn adapter_name(adapter: Option<&AdapterId>) -> String {
    adapter.map_or_else(|| "the base model".to_owned(), AdapterId::to_string)
}

/// Why an anchor was pinned, as people read it.
pub(crate) fn pin_reason(pin: &Pin) -> String {
    match (pin.reason, pin.cycle, pin.note.as_deref()) {
        (PinReason::Test, Some(cycle), _) => format!("by the test of cycle {cycle}"),
        (_, _, Some(note)) if !note.is_empty() => format!("by hand: {note}"),
        _ => "by hand".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_pin_is_read_as_it_is_written() {
        for (text, whom) in [("base", Whom::Base), ("champion", Whom::Champion), ("0123", Whom::Named("0123".into()))] {
            assert_eq!(text.parse::<Whom>().unwrap(), whom);
            assert_eq!(serde_json::to_string(&whom).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Whom>(&format!("{text:?}")).unwrap(), whom);
        }
    }

    #[test]
    fn the_reason_of_a_pin_reads_well() {
        let pin = |reason, note: Option<&str>| Pin {
            at_ms: 0,
            adapter: None,
            reason,
            cycle: (reason == PinReason::Test).then_some(perennial_types::CycleId(7)),
            note: note.map(str::to_owned),
        };
        assert_eq!(pin_reason(&pin(PinReason::Test, None)), "by the test of cycle 000007");
        assert_eq!(pin_reason(&pin(PinReason::Hand, Some(""))), "by hand");
        assert_eq!(pin_reason(&pin(PinReason::Hand, Some("accepted"))), "by hand: accepted");
    }
}
