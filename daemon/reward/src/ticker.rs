use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Host, HostError};

/// How exact deadlines are.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The ticks of a duration, one more than fit so that a deadline is never early.
pub(crate) fn ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).min(u64::MAX / 2) + 1
}

/// The clock behind [`deadline`](crate::HostOptions::deadline): a thread that ticks every 10 ms until it is dropped.
/// Without one, fuel is the only limit of time.
pub struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts to tick for this host.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(host: &Host) -> Result<Self, HostError> {
        let engine = host.engine().clone();
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let tick = move || {
            let (flag, changed) = &*stopped;
            let mut flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
            while !*flag {
                flag = changed.wait_timeout(flag, TICK).unwrap_or_else(PoisonError::into_inner).0;
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new()
            .name("reward-ticker".to_owned())
            .spawn(tick)
            .map_err(|error| HostError::Engine(format!("no thread for deadlines: {error}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let (flag, changed) = &*self.stop;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic; were it to, there would be nothing to do about it here.
            let _ = thread.join();
        }
    }
}
