//! The learner: decoder, adapters, objectives, generation, training and checkpoints.
