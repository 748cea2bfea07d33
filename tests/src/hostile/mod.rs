//! Inputs made to do harm, from a generator: the same seed gives the same inputs. Each kind is one file in `kinds`, and
//! [`run`](run::run) throws them at the built program and sees what becomes of it.

mod attack;
mod bounds;
mod kinds;
mod probe;
mod random;
mod run;

use std::fmt;

use self::random::Random;
pub use self::{
    bounds::Bounds,
    kinds::heavy_plugin,
    run::{Summary, run},
};

/// What there is of hostile inputs, a kind a line.
const KINDS: [&dyn Kind; 9] = [
    &kinds::Rows,
    &kinds::Compressed,
    &kinds::Requests,
    &kinds::Plugins,
    &kinds::Schemas,
    &kinds::Templates,
    &kinds::Gguf,
    &kinds::Safetensors,
    &kinds::Configs,
];

/// One way to do harm.
trait Kind: Sync {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// An input of this kind.
    fn input(&self, random: &mut Random) -> Input;
}

/// What is done with hostile bytes.
enum Input {
    /// They are sent as rows.
    Post {
        /// What stands behind `/v1/samples`.
        query: String,
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// They are sent over a connection of their own, which is then left open for a while.
    Connection(Vec<u8>),
    /// They lie in the inbox.
    Drop { name: String, bytes: Vec<u8> },
    /// A command of the program meets them. `{}` in its arguments stands for the folder of the files.
    Command { files: Vec<(String, Vec<u8>)>, arguments: Vec<String> },
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post { query, body, .. } => write!(f, "POST /v1/samples{query} with {} bytes", body.len()),
            Self::Connection(bytes) => write!(f, "a connection with {} bytes", bytes.len()),
            Self::Drop { name, bytes } => write!(f, "the file {name:?} with {} bytes", bytes.len()),
            Self::Command { arguments, .. } => write!(f, "the command {}", arguments.join(" ")),
        }
    }
}

/// The input with this number, and the name of its kind.
fn input(seed: u64, number: usize) -> (&'static str, Input) {
    let kind = KINDS[number % KINDS.len()];
    let mut random = Random::new(seed ^ (number as u64).wrapping_mul(0xD134_2543_DE82_EF95));
    (kind.name(), kind.input(&mut random))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(input: &Input) -> Vec<u8> {
        match input {
            Input::Post { body, .. } => body.clone(),
            Input::Connection(bytes) | Input::Drop { bytes, .. } => bytes.clone(),
            Input::Command { files, .. } => files.iter().flat_map(|(_, bytes)| bytes.clone()).collect(),
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        for number in 0..KINDS.len() * 2 {
            let (one, other) = (input(5, number).1, input(5, number).1);
            assert_eq!(bytes(&one), bytes(&other), "{one:?}");
        }
        let differs = |number| bytes(&input(5, number).1) != bytes(&input(6, number).1);
        assert!((0..KINDS.len()).filter(|number| differs(*number)).count() >= KINDS.len() - 1);
    }
}
