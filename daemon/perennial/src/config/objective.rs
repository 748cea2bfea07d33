//! An objective of training by its name, and the table that names one.

use perennial_learn::train::{
    grpo::{self, GrpoConfig},
    objective::{Keys, OBJECTIVES, ObjectiveKind, objective_of},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};
use serde_json::Value;

/// An objective, by its name in the learner's list.
#[derive(Clone, Copy)]
pub(crate) struct Objective(&'static dyn ObjectiveKind);

impl Objective {
    /// All of them, in the order in which one may follow another.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        OBJECTIVES.into_iter().map(Self)
    }

    /// The name in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn kind(self) -> &'static dyn ObjectiveKind {
        self.0
    }

    /// Its place among [`all`](Self::all).
    pub(super) fn place(self) -> Option<usize> {
        Self::all().position(|other| other == self)
    }
}

impl Default for Objective {
    /// Supervised fine-tuning: the first.
    fn default() -> Self {
        Self(OBJECTIVES[0])
    }
}

impl PartialEq for Objective {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl std::fmt::Debug for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn named(name: &str) -> Result<Objective, String> {
    objective_of(name).map(Objective).ok_or_else(|| {
        let known: Vec<String> = Objective::all().map(|objective| format!("`{}`", objective.as_str())).collect();
        format!("unknown objective `{name}`, expected one of {}", known.join(", "))
    })
}

/// `[[train.stage]]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrainStage {
    pub(crate) objective: Objective,
    /// All of the objective's own, those at their defaults included.
    pub(crate) keys: Keys,
}

/// The key of a stage that is no objective's own.
const OBJECTIVE: &str = "objective";

impl Serialize for TrainStage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.keys.len()))?;
        map.serialize_entry(OBJECTIVE, &self.objective)?;
        self.keys.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for TrainStage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Keys::deserialize(deserializer)?;
        let objective = match keys.remove(OBJECTIVE) {
            Some(Value::String(name)) => named(&name).map_err(de::Error::custom)?,
            Some(other) => return Err(de::Error::custom(format!("`{OBJECTIVE}` is a name, not {other}"))),
            None => return Err(de::Error::missing_field(OBJECTIVE)),
        };
        let keys = objective.kind().complete(&keys).map_err(de::Error::custom)?;
        Ok(Self { objective, keys })
    }
}

impl TrainStage {
    /// How to learn from rewards, where that is what the stage does.
    pub(crate) fn grpo(&self) -> Option<GrpoConfig> {
        let keys = || Value::Object(self.keys.clone());
        (self.objective.as_str() == grpo::NAME).then(|| serde_json::from_value(keys()).ok())?
    }
}
