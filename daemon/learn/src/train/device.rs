use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::TrainError;

/// Where the passes of training are computed, and by what. Rollouts, scores and embeddings are computed on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainDevice {
    /// On the CPU, by the passes written by hand.
    #[default]
    Cpu,
    /// On the first NVIDIA GPU, by candle's tensor operations. Takes a build with the feature `cuda`.
    Cuda,
    /// On the CPU, by the operations that the GPU would run, in f32: slow, for comparisons.
    CpuComposed,
}

impl TrainDevice {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The device on which candle's operations run; `None` where the passes by hand do.
    pub(super) fn composed(self) -> Result<Option<Device>, TrainError> {
        match self {
            Self::Cpu => Ok(None),
            Self::CpuComposed => Ok(Some(Device::Cpu)),
            Self::Cuda if cfg!(feature = "cuda") => Device::new_cuda(0).map(Some).map_err(TrainError::NoGpu),
            Self::Cuda => Err(TrainError::NotBuiltForCuda),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        for (device, name) in
            [(TrainDevice::Cpu, "cpu"), (TrainDevice::Cuda, "cuda"), (TrainDevice::CpuComposed, "cpu-composed")]
        {
            assert_eq!(serde_json::to_value(device).unwrap(), name);
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let error = TrainDevice::Cuda.composed().unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
