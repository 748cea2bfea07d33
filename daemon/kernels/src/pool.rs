/// Runs a pass on a thread of the rayon pool, where it then starts its parallel pieces without waking anyone to do so: from
/// another thread each of some hundred pieces would cost two switches of threads.
pub fn in_pool<T: Send>(pass: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_some() {
        return pass();
    }
    rayon::scope(|_| pass())
}
