//! Distillation from frozen policies: what the champion says of replayed samples, and the base model of its own answers, is held
//! on to as a whole distribution over the vocabulary, and not by the one token that the sample has.
//!
//! To the loss comes weight · Σ over the targets of KL(teacher ‖ policy), where each target counts what it counts in the objective:
//! so that the shares of the mix are shares of this term too. It is the distillation term of Learning without Forgetting (Li and
//! Hoiem, arXiv 1606.09282, eq. 3, at the temperature 1) up to the teacher's entropy, which has no derivative, on stored samples
//! instead of the new ones.
//!
//! No distribution is kept. What is kept of a teacher is the hidden state before the head at each target of the step, as the teacher
//! computes it in that very step: `hidden` numbers a target where the distribution would be `vocab`. The kernel goes over the
//! vocabulary in blocks, so the divergence is exact.

mod taught;
#[cfg(test)]
mod tests;

pub(super) use taught::{Divergences, Taught, Teacher};
