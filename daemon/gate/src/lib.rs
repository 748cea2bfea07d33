//! Metrics, suites, statistics and the decision to promote or reject.
