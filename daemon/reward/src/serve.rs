//! A [`Loader`](crate::Loader) in a process of its own: what goes through the pipes, and what is done at the other end.

use std::{
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Descriptor, Host, Job, Loaded, Order, Refusal, Ticker, compile::to_code, prepare::prepare};

/// The longest head of a job or an answer, in bytes: configurations and descriptors are bounded well below it.
const HEAD_BYTES_MAX: u64 = 16 << 20;

/// Writes a job, as [`read_job`] reads it.
///
/// # Errors
/// Where it cannot be written.
pub fn write_job(job: &Job<'_>, output: &mut dyn Write) -> io::Result<()> {
    write_head(&job.order, output)?;
    write_block(Some(job.bytes), output)?;
    write_block(job.code, output)?;
    output.flush()
}

/// Reads what [`Ordered::carry_out`] wrote.
///
/// # Errors
/// Where nothing, or something else, was written, or more than `code_bytes_max` of machine code.
pub fn read_answer(input: &mut dyn Read, code_bytes_max: u64) -> io::Result<Result<Loaded, Refusal>> {
    let answer: Result<Answer, Refusal> = read_head(input)?;
    let code = read_block(input, code_bytes_max)?;
    Ok(answer.map(|answer| Loaded { code, ..answer.loaded() }))
}

/// A [`Job`] as it came through a pipe.
pub struct Ordered {
    order: Order,
    bytes: Vec<u8>,
    code: Option<Vec<u8>>,
}

/// Reads what [`write_job`] wrote.
///
/// # Errors
/// Where there is no job.
pub fn read_job(input: &mut dyn Read) -> io::Result<Ordered> {
    let order = read_head(input)?;
    let bytes = read_block(input, u64::MAX)?.unwrap_or_default();
    Ok(Ordered { order, bytes, code: read_block(input, u64::MAX)? })
}

impl Ordered {
    /// Carries out the job, within what is left of the process's limits, and writes what came of it.
    ///
    /// # Errors
    /// Where the answer cannot be written.
    pub fn carry_out(self, output: &mut dyn Write) -> io::Result<()> {
        let Self { order, bytes, code } = self;
        let job = Job { order, bytes: &bytes, code: code.as_deref() };
        let done = catch_unwind(AssertUnwindSafe(|| carry_out(&job)));
        let died = || Err(Refusal::LoadDied("it panicked".to_owned()));
        let (answer, code) = match done.unwrap_or_else(|_| died()) {
            Ok(mut loaded) => {
                let code = loaded.code.take();
                (Ok(Answer::of(loaded)), code)
            }
            Err(refusal) => (Err(refusal), None),
        };
        write_head(&answer, output)?;
        write_block(code.as_deref(), output)?;
        output.flush()
    }
}

fn carry_out(job: &Job<'_>) -> Result<Loaded, Refusal> {
    let host = Host::new(job.order.limits.clone()).map_err(|error| Refusal::Loader(error.to_string()))?;
    let _ticker = Ticker::start(&host).map_err(|error| Refusal::Loader(error.to_string()))?;
    let prepared = prepare(&host.inner, job)?;
    let Some(ready) = prepared.ready else {
        return Ok(Loaded { inspection: prepared.inspection, descriptor: None, code: None });
    };
    let code = if ready.cached { None } else { Some(to_code(&ready.component)?) };
    Ok(Loaded { inspection: prepared.inspection, descriptor: Some(ready.descriptor), code })
}

/// What was loaded, with the bits of its numbers: read back from decimals they might differ in the last place.
#[derive(Serialize, serde::Deserialize)]
struct Answer {
    loaded: Loaded,
    bits: Vec<u64>,
}

impl Answer {
    fn of(mut loaded: Loaded) -> Self {
        let bits = loaded.descriptor.as_mut().map(numbers).unwrap_or_default();
        Self { bits: bits.into_iter().map(|number| number.to_bits()).collect(), loaded }
    }

    fn loaded(mut self) -> Loaded {
        let numbers = self.loaded.descriptor.as_mut().map(numbers).unwrap_or_default();
        numbers.into_iter().zip(self.bits).for_each(|(number, bits)| *number = f64::from_bits(bits));
        self.loaded
    }
}

fn numbers(descriptor: &mut Descriptor) -> Vec<&mut f64> {
    let parts = descriptor.parts.iter_mut().flat_map(|part| [&mut part.min, &mut part.max]);
    [&mut descriptor.min, &mut descriptor.max].into_iter().chain(parts).collect()
}

fn write_head(head: &impl Serialize, output: &mut dyn Write) -> io::Result<()> {
    write_block(Some(&serde_json::to_vec(head)?), output)
}

fn read_head<T: DeserializeOwned>(input: &mut dyn Read) -> io::Result<T> {
    let head = read_block(input, HEAD_BYTES_MAX)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_slice(&head)?)
}

/// A block is its length in bytes plus one, and its bytes; none at all is a length of 0.
fn write_block(block: Option<&[u8]>, output: &mut dyn Write) -> io::Result<()> {
    let length = block.map_or(0, |block| block.len() as u64 + 1);
    output.write_all(&length.to_le_bytes())?;
    output.write_all(block.unwrap_or_default())
}

fn read_block(input: &mut dyn Read, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let Some(length) = u64::from_le_bytes(length).checked_sub(1) else { return Ok(None) };
    if length > bytes_max {
        let problem = format!("a block of {length} bytes, more than {bytes_max}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    let mut block = Vec::new();
    if input.take(length).read_to_end(&mut block)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Depth, HostOptions, PluginOptions};

    fn asked(depth: Depth, bytes: &[u8]) -> Result<Loaded, Refusal> {
        let order = Order { depth, options: PluginOptions::new("p"), limits: HostOptions::default() };
        let (mut job, mut answer) = (Vec::new(), Vec::new());
        write_job(&Job { order, bytes, code: None }, &mut job).unwrap();
        read_job(&mut &job[..]).unwrap().carry_out(&mut answer).unwrap();
        read_answer(&mut &answer[..], 1 << 30).unwrap()
    }

    #[test]
    fn a_plugin_comes_through_the_pipe_as_it_was_loaded() {
        let bytes = std::fs::read("../../plugins/length/length.wasm").unwrap();
        let loaded = asked(Depth::Load, &bytes).unwrap();
        assert_eq!(loaded.descriptor.unwrap().name, "length");
        assert!(loaded.code.unwrap().len() > 1000);
        let inspected = asked(Depth::Inspect, &bytes).unwrap();
        assert_eq!((inspected.inspection, inspected.descriptor, inspected.code), (loaded.inspection, None, None));
        assert!(matches!(asked(Depth::Load, b"no WASM"), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn numbers_keep_their_bits() {
        let bytes = std::fs::read("../../plugins/length/length.wasm").unwrap();
        let mut loaded = asked(Depth::Load, &bytes).unwrap();
        loaded.descriptor.as_mut().unwrap().max = 0.1 + 0.2;
        let text = serde_json::to_string(&Answer::of(loaded.clone())).unwrap();
        let answer: Answer = serde_json::from_str(&text).unwrap();
        assert_eq!(answer.loaded(), Loaded { code: None, ..loaded });
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(read_answer(&mut &b""[..], 9).is_err());
        assert!(read_answer(&mut &u64::MAX.to_le_bytes()[..], 9).is_err());
        let mut answer = Vec::new();
        write_head(&Err::<Answer, _>(Refusal::LoadDied("x".to_owned())), &mut answer).unwrap();
        write_block(Some(&[0; 10]), &mut answer).unwrap();
        assert!(read_answer(&mut &answer[..], 9).unwrap_err().to_string().contains("10 bytes, more than 9"));
    }
}
