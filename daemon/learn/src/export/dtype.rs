use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use half::{bf16, f16};

use super::ExportError;

/// What numbers are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits, of which 10 are behind the point.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
    /// 8 bits, with a scale for each 32 numbers.
    Q8_0,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0];

    /// As llama.cpp's converter calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.as_str() == name)
    }

    /// What rows of so many numbers are stored as: as llama.cpp's converter, in 16 bits where they are no whole blocks.
    pub(super) fn of_rows(self, row: usize) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::Bf16 => GgmlDType::BF16,
            Self::Q8_0 if row.is_multiple_of(GgmlDType::Q8_0.block_size()) => GgmlDType::Q8_0,
            Self::Q8_0 => GgmlDType::F16,
        }
    }

    /// llama.cpp's number of a file whose matrices are mostly stored so (`llama_ftype`).
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }
}

/// What numbers that are stored so are written as where nothing is asked for: quantised ones in 32 bits, which loses nothing.
pub(super) fn kept(stored: GgmlDType) -> GgmlDType {
    match stored {
        plain @ (GgmlDType::F16 | GgmlDType::BF16) => plain,
        _ => GgmlDType::F32,
    }
}

/// What a safetensors file and torch call such numbers, and how many bytes each takes.
pub(super) fn in_safetensors(dtype: GgmlDType) -> (&'static str, &'static str, usize) {
    match dtype {
        GgmlDType::F16 => ("F16", "float16", 2),
        GgmlDType::BF16 => ("BF16", "bfloat16", 2),
        _ => ("F32", "float32", 4),
    }
}

/// Rounds values once and gives their bytes; `dims` are theirs, the outermost first.
///
/// # Errors
/// Where rows are no whole blocks.
pub(super) fn encoded(values: Vec<f32>, dims: &[usize], dtype: GgmlDType) -> Result<Vec<u8>, ExportError> {
    Ok(match dtype {
        GgmlDType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        GgmlDType::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        GgmlDType::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        quantised => {
            let tensor = Tensor::from_vec(values, dims, &Device::Cpu)?;
            QTensor::quantize(&tensor, quantised)?.data()?.into_owned()
        }
    })
}
