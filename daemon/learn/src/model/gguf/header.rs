use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use candle_core::quantized::{
    GgmlDType,
    gguf_file::{TensorInfo, Value},
};

/// More tensors than any model of the family has.
const TENSORS_MAX: u64 = 1 << 16;
/// More values, those of lists counted one by one, than any vocabulary with its merges and types has. Each takes 32 bytes.
const VALUES_MAX: u64 = 1 << 23;
/// ggml's own limit.
const DIMENSIONS_MAX: u32 = 4;
const ALIGNMENT_DEFAULT: u64 = 32;
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";

/// What a GGUF file says before the data of its tensors (`docs/gguf.md` of ggml).
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) infos: BTreeMap<String, TensorInfo>,
    /// Where the data of the tensors starts.
    pub(super) data_start: u64,
}

impl Header {
    /// Reads a header of a file of `file_bytes` bytes. Lengths and counts are held against what is left of the file before anything
    /// is made by them, and tensors must lie in it one beside the other.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence.
    pub(super) fn read(source: impl Read, file_bytes: u64) -> Result<Self, String> {
        let mut reader = Reader { source, at: 0, end: file_bytes, values_left: VALUES_MAX, wide: true };
        if reader.bytes()? != *b"GGUF" {
            return Err("it does not begin with `GGUF`".to_owned());
        }
        let version = reader.u32()?;
        if !(1..=3).contains(&version) {
            return Err(format!("it is of version {version}; 1 to 3 can be read"));
        }
        reader.wide = version > 1;
        let (tensors, keys) = (reader.length()?, reader.length()?);
        if tensors > TENSORS_MAX {
            return Err(format!("it announces {tensors} tensors; no model has more than {TENSORS_MAX}"));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..keys {
            let (key, kind) = (reader.text()?, reader.u32()?);
            let value = reader.value(kind).map_err(|problem| format!("`{key}`: {problem}"))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format!("it has the key `{key}` twice"));
            }
        }
        let mut infos = BTreeMap::new();
        for _ in 0..tensors {
            let name = reader.text()?;
            let info = reader.tensor().map_err(|problem| format!("tensor `{name}`: {problem}"))?;
            if infos.insert(name.clone(), info).is_some() {
                return Err(format!("it has the tensor `{name}` twice"));
            }
        }
        let alignment = alignment(&metadata)?;
        let data_start = reader.at.checked_next_multiple_of(alignment).ok_or("its alignment is beyond any file")?;
        lie_side_by_side(&infos, file_bytes.saturating_sub(data_start))?;
        Ok(Self { metadata, infos, data_start })
    }
}

/// The bytes that a tensor's values take.
///
/// # Errors
/// Where its rows are no whole blocks, or there are more than can be counted.
pub(super) fn tensor_bytes(info: &TensorInfo) -> Result<u64, String> {
    let dims = info.shape.dims();
    let (block, row) = (info.ggml_dtype.block_size(), dims.last().copied().unwrap_or(1));
    if !row.is_multiple_of(block) {
        return Err(format!("its rows of {row} values are no whole blocks of {block}"));
    }
    let values = dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    let bytes = values.and_then(|values| (values / block).checked_mul(info.ggml_dtype.type_size()));
    bytes.map(|bytes| bytes as u64).ok_or_else(|| format!("its shape {dims:?} is beyond any file"))
}

/// Where the data of each tensor may begin: at multiples of this.
pub(super) fn alignment(metadata: &BTreeMap<String, Value>) -> Result<u64, String> {
    let alignment = match metadata.get(ALIGNMENT_KEY) {
        None => return Ok(ALIGNMENT_DEFAULT),
        Some(Value::U32(alignment)) => u64::from(*alignment),
        Some(other) => return Err(format!("`{ALIGNMENT_KEY}` must be a u32, not {:?}", other.value_type())),
    };
    match alignment.is_power_of_two() {
        true => Ok(alignment),
        false => Err(format!("`{ALIGNMENT_KEY}` is {alignment}; it must be a power of two")),
    }
}

/// That each tensor lies within the data, and none in another: what is read is then no more than the file.
fn lie_side_by_side(infos: &BTreeMap<String, TensorInfo>, data_bytes: u64) -> Result<(), String> {
    let mut by_offset: Vec<(&String, &TensorInfo)> = infos.iter().collect();
    by_offset.sort_by_key(|(_, info)| info.offset);
    let mut free_from = 0;
    for (name, info) in by_offset {
        let bytes = tensor_bytes(info).map_err(|problem| format!("tensor `{name}`: {problem}"))?;
        let end = info.offset.checked_add(bytes).filter(|end| *end <= data_bytes).ok_or_else(|| {
            format!(
                "tensor `{name}` needs {bytes} bytes from {} on, but only {data_bytes} bytes of data are there",
                info.offset
            )
        })?;
        if info.offset < free_from {
            return Err(format!("tensor `{name}` overlaps another"));
        }
        free_from = end;
    }
    Ok(())
}

struct Reader<R> {
    source: R,
    at: u64,
    end: u64,
    values_left: u64,
    /// Whether lengths have 64 bits; in version 1 they have 32.
    wide: bool,
}

impl<R: Read> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.has(N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn has(&self, bytes: u64) -> Result<(), String> {
        match bytes <= self.end - self.at {
            true => Ok(()),
            false => Err(format!("{bytes} bytes are to follow, but only {} are left of the file", self.end - self.at)),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.source.read_exact(bytes).map_err(|error: io::Error| error.to_string())?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn length(&mut self) -> Result<u64, String> {
        if self.wide { self.u64() } else { Ok(u64::from(self.u32()?)) }
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.length()?;
        self.has(length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        // Texts that end in zeros, and some that are no UTF-8, are found in published files.
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| format!("more than {VALUES_MAX} values"))?;
        Ok(match kind {
            0 => Value::U8(u8::from_le_bytes(self.bytes()?)),
            1 => Value::I8(i8::from_le_bytes(self.bytes()?)),
            2 => Value::U16(u16::from_le_bytes(self.bytes()?)),
            3 => Value::I16(i16::from_le_bytes(self.bytes()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.bytes()?)),
            6 => Value::F32(f32::from_le_bytes(self.bytes()?)),
            7 => Value::Bool(self.bytes::<1>()? != [0]),
            8 => Value::String(self.text()?),
            9 => self.list()?,
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.bytes()?)),
            12 => Value::F64(f64::from_le_bytes(self.bytes()?)),
            other => return Err(format!("a value of type {other}, which is not known")),
        })
    }

    fn list(&mut self) -> Result<Value, String> {
        const LIST: u32 = 9;
        let (kind, length) = (self.u32()?, self.length()?);
        if kind == LIST {
            return Err("lists of lists are not supported".to_owned());
        }
        // No value is shorter than a byte. What is made grows with what is read.
        self.has(length)?;
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(self.value(kind)?);
        }
        Ok(Value::Array(values))
    }

    fn tensor(&mut self) -> Result<TensorInfo, String> {
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return Err(format!("it has {dimensions} dimensions; 1 to {DIMENSIONS_MAX} are possible"));
        }
        let mut dims = Vec::new();
        for _ in 0..dimensions {
            let dim = self.length()?;
            dims.push(
                usize::try_from(dim).ok().filter(|dim| *dim > 0).ok_or_else(|| format!("it has a side of {dim}"))?,
            );
        }
        // ggml counts from the innermost one.
        dims.reverse();
        let ggml_dtype = dtype(self.u32()?)?;
        Ok(TensorInfo { ggml_dtype, shape: dims.into(), offset: self.u64()? })
    }
}

/// ggml's numbers of the types that candle can dequantize.
const TYPES: [(u32, GgmlDType); 13] = [
    (0, GgmlDType::F32),
    (1, GgmlDType::F16),
    (2, GgmlDType::Q4_0),
    (3, GgmlDType::Q4_1),
    (6, GgmlDType::Q5_0),
    (7, GgmlDType::Q5_1),
    (8, GgmlDType::Q8_0),
    (10, GgmlDType::Q2K),
    (11, GgmlDType::Q3K),
    (12, GgmlDType::Q4K),
    (13, GgmlDType::Q5K),
    (14, GgmlDType::Q6K),
    (30, GgmlDType::BF16),
];

fn dtype(number: u32) -> Result<GgmlDType, String> {
    let found = TYPES.iter().find(|(known, _)| *known == number).map(|(_, dtype)| *dtype);
    found.ok_or_else(|| {
        format!("it is stored as ggml's type {number}; F32, F16, BF16, Q4_0 to Q8_0 and Q2_K to Q6_K can be read")
    })
}

/// ggml's number of a type; `None` for one that no file that can be read has.
pub(super) fn number_of(dtype: GgmlDType) -> Option<u32> {
    TYPES.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}
