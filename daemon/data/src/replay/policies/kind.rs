use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{POLICIES, Policy, balanced::Balanced};

/// A policy, by its name in the list.
#[derive(Clone, Copy)]
pub struct PolicyKind(&'static dyn Policy);

impl PolicyKind {
    /// Every domain by the square root of its size.
    pub(crate) const BALANCED: Self = Self(&Balanced);

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        POLICIES.iter().copied().map(Self)
    }

    /// The policy of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.as_str() == name)
    }

    /// The name in the configuration and in manifests.
    pub fn as_str(self) -> &'static str {
        self.0.name()
    }

    /// What draws by this name.
    pub fn policy(self) -> &'static dyn Policy {
        self.0
    }
}

impl Default for PolicyKind {
    fn default() -> Self {
        Self(POLICIES[0])
    }
}

impl PartialEq for PolicyKind {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for PolicyKind {}

impl fmt::Debug for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for PolicyKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PolicyKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(|kind| format!("`{}`", kind.as_str())).collect();
            de::Error::custom(format!("unknown policy `{name}`, expected one of {}", known.join(", ")))
        })
    }
}
