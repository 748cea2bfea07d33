//! What the learner computes with, "auto" where the machine may decide.

use perennial_learn::{compute, train};
use serde::{Deserialize, Serialize};

/// `model.precision`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Precision {
    /// bf16 where the processor multiplies it, else f32.
    #[default]
    Auto,
    /// 24 bits of significand.
    F32,
    /// 8 bits of significand.
    Bf16,
}

impl Precision {
    /// What it comes to on this machine.
    pub(crate) fn resolve(self) -> compute::Precision {
        match self {
            Self::Auto => compute::Precision::fastest(),
            Self::F32 => compute::Precision::F32,
            Self::Bf16 => compute::Precision::Bf16,
        }
    }
}

impl From<compute::Precision> for Precision {
    fn from(precision: compute::Precision) -> Self {
        match precision {
            compute::Precision::F32 => Self::F32,
            compute::Precision::Bf16 => Self::Bf16,
        }
    }
}

/// `train.device`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrainDevice {
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

impl TrainDevice {
    /// Whether this build can use it.
    pub(crate) fn is_built(self) -> bool {
        self == Self::Cpu || cfg!(feature = "cuda")
    }
}

impl From<TrainDevice> for train::TrainDevice {
    fn from(device: TrainDevice) -> Self {
        match device {
            TrainDevice::Cpu => Self::Cpu,
            TrainDevice::Cuda => Self::Cuda,
        }
    }
}

/// `resources.isa`; `None` is "auto".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Isa(pub(crate) Option<compute::Isa>);

const AUTO: &str = "auto";

impl TryFrom<String> for Isa {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == AUTO {
            return Ok(Self(None));
        }
        name.parse().map(|isa| Self(Some(isa))).map_err(|error: compute::IsaError| format!("{error}, and auto"))
    }
}

impl From<Isa> for String {
    fn from(Isa(isa): Isa) -> Self {
        isa.map_or(AUTO, compute::Isa::as_str).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruction_sets_go_by_their_names() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Section {
            isa: Isa,
        }
        for (text, isa) in [("isa = \"auto\"\n", None), ("isa = \"avx2\"\n", Some(compute::Isa::Avx2))] {
            let section: Section = toml::from_str(text).unwrap();
            assert_eq!(section, Section { isa: Isa(isa) });
            assert_eq!(toml::to_string(&section).unwrap(), text);
        }
        let error = toml::from_str::<Section>("isa = \"sse9\"").unwrap_err().to_string();
        assert!(error.contains("avx512-bf16 and amx, and auto"), "{error}");
    }
}
