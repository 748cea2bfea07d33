//! The replay buffer: which trained samples may be trained on again, and how they are chosen.
//!
//! [`ReplayBuffer`] is an index in LanceDB; the samples themselves stay in their segments, from which it can be rebuilt.
//! A [`Policy`] decides what [leaves](surplus) a full buffer and what is [drawn](draw()).

mod budget;
mod buffer;
mod draw;
mod error;
mod keep;
mod open;
mod policies;
mod pool;
mod row;
mod settled;
mod signals;
mod space;
#[cfg(test)]
mod tests;

pub use self::{
    budget::Budget,
    buffer::ReplayBuffer,
    draw::{Draw, draw},
    error::ReplayError,
    keep::surplus,
    policies::{POLICIES, Policy, PolicyKind},
    pool::Pool,
    row::{ReplayEntry, ReplayRow},
    signals::Signals,
    space::Space,
};
