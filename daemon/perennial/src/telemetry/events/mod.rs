//! What can happen, a file an area.

mod base_answers;
mod cycle;
mod drift;
mod failure;
mod gate;
mod hold;
mod http;
mod ingest;
mod publish;
mod reward;
mod surroundings;
mod train;

pub(crate) use self::{
    base_answers::*, cycle::*, drift::*, failure::*, gate::*, hold::*, http::*, ingest::*, publish::*, reward::*,
    surroundings::*, train::*,
};

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod testing {
    use crate::telemetry::{ProgressBar, Telemetry};

    pub(super) fn telemetry() -> Telemetry {
        Telemetry::new(ProgressBar::hidden()).unwrap()
    }

    pub(super) fn exports(telemetry: &Telemetry, line: &str) -> bool {
        telemetry.metrics().render().unwrap().lines().any(|found| found == line)
    }
}
