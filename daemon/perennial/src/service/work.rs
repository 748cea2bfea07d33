//! Work that blocks, on a thread of its own, awaited from the async side.

use std::{panic::AssertUnwindSafe, thread};

use tokio::sync::oneshot;

use crate::failure::panic_message;

/// Enough for the deepest recursion that a training step's backward pass makes in an unoptimised build. Only what is
/// used of it is ever backed by memory.
const STACK_BYTES: usize = 256 << 20;

/// Why work came to no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// The thread could not be started.
    #[error("no thread for {0}")]
    NoThread(&'static str, #[source] std::io::Error),
    /// The work panicked: a defect in this program.
    #[error("{0} panicked: {1}")]
    Panicked(&'static str, String),
}

/// Does the work on a thread of this name (15 characters at most are shown) and waits for its result. Dropping the
/// future does not stop the work: that is what [`Stop`](crate::ports::Stop) is for.
pub(crate) async fn on_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkError> {
    let (done, result) = oneshot::channel();
    let run = move || {
        let _ = done.send(std::panic::catch_unwind(AssertUnwindSafe(work)));
    };
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(run)
        .map_err(|error| WorkError::NoThread(name, error))?;
    match result.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(WorkError::Panicked(name, panic_message(&*panic))),
        Err(_) => Err(WorkError::Panicked(name, "the thread is gone".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn result_comes_back_and_a_panic_is_an_error() {
        assert_eq!(on_thread("test", || 7).await.unwrap(), 7);
        let error = on_thread("test", || -> u8 { panic!("bad {}", 1) }).await.unwrap_err();
        assert_eq!(error.to_string(), "test panicked: bad 1");
    }
}
