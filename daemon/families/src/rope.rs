use serde_json::{Map, Value};

use crate::{FamilyError, keys::Keys};

const SCALING: &str = "rope_scaling";
const PARAMETERS: &str = "rope_parameters";
const FACTOR: &str = "partial_rotary_factor";

/// A position encoding without scaling.
pub(crate) struct Rope {
    /// The base of the wave lengths.
    pub(crate) theta: f64,
    /// The share of each head that is rotated.
    pub(crate) share: f64,
}

impl<'a> Keys<'a> {
    /// The position encoding: `rope_scaling` of transformers 4, which goes first where both are there, or `rope_parameters` of 5, and
    /// what stands beside them. `absent` is what transformers takes where nothing is said.
    ///
    /// # Errors
    /// Where positions are scaled, or differ from layer to layer.
    pub(crate) fn rope(&self, absent: Rope) -> Result<Rope, FamilyError> {
        let (place, parameters) = match (self.object(SCALING)?, self.object(PARAMETERS)?) {
            (Some(scaling), _) => (SCALING, Some(scaling)),
            (None, parameters) => (PARAMETERS, parameters),
        };
        if let Some((key, _)) = parameters.into_iter().flatten().find(|(_, value)| value.is_object()) {
            return Err(self.problem(&format!("{place}.{key}"), "differs from layer to layer, which is not supported"));
        }
        self.unscaled(place, parameters)?;
        let (theta, share) = (self.real("rope_theta")?, self.real(FACTOR)?);
        let real = |key: &'static str| {
            let value = parameters.and_then(|parameters| parameters.get(key));
            self.real_of(&format!("{place}.{key}"), value)
        };
        let share = real(FACTOR)?.or(share).unwrap_or(absent.share);
        if share > 1.0 {
            return Err(self.problem(FACTOR, "is above 1, but no more than a whole head can be rotated"));
        }
        Ok(Rope { theta: real("rope_theta")?.or(theta).unwrap_or(absent.theta), share })
    }

    /// The base of the wave lengths of a family that rotates whole heads.
    ///
    /// # Errors
    /// As [`rope`](Self::rope), or where a part of each head is rotated.
    pub(crate) fn rope_theta(&self, absent: f64) -> Result<f64, FamilyError> {
        let Rope { theta, share } = self.rope(Rope { theta: absent, share: 1.0 })?;
        match share == 1.0 {
            true => Ok(theta),
            false => Err(self.problem(FACTOR, "is not 1: rotating a part of each head is not supported")),
        }
    }

    /// An object with something in it.
    pub(crate) fn object(&self, key: &'static str) -> Result<Option<&'a Map<String, Value>>, FamilyError> {
        match self.value(key) {
            Some(value) if !value.is_object() => Err(self.problem(key, "must be an object")),
            value => Ok(value.and_then(Value::as_object).filter(|object| !object.is_empty())),
        }
    }

    /// That these parameters scale nothing.
    pub(crate) fn unscaled(&self, place: &str, parameters: Option<&Map<String, Value>>) -> Result<(), FamilyError> {
        let kind = parameters.and_then(|parameters| parameters.get("rope_type").or_else(|| parameters.get("type")));
        match kind.map_or(Some("default"), Value::as_str) {
            Some("default") => Ok(()),
            kind => {
                let problem = format!("is `{}`: the engine candle does not scale positions", kind.unwrap_or("no text"));
                Err(self.problem(&format!("{place}.rope_type"), &problem))
            }
        }
    }
}
