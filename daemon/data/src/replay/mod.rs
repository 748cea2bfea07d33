//! The replay buffer: which trained samples may be trained on again, and how they are chosen.
//!
//! [`ReplayBuffer`] is an index in LanceDB; the samples themselves stay in their segments, from which it can be rebuilt.
//! [`ReplayPolicy`] decides what is [kept](keep) and what is [drawn](draw).

mod buffer;
mod error;
mod open;
mod policy;
mod row;
mod settled;
#[cfg(test)]
mod tests;

pub use self::{
    buffer::ReplayBuffer,
    error::ReplayError,
    policy::{PolicyKind, ReplayPolicy, draw, keep},
    row::{ReplayEntry, ReplayRow},
};
