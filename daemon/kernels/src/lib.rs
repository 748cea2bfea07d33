//! CPU kernels of the learner and their candle custom ops.
