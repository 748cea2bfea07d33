use std::panic::{AssertUnwindSafe, catch_unwind};

use perennial_types::panic_text;

/// Runs what a dependency does with what stands in a file, and gives what it panicked with as text: `onig` panics where a pattern
/// goes beyond its limit of retries, and `tokenizers` and `candle` index by numbers that they read; none of these says so by an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| panic_text(&*panic).unwrap_or("it panicked without a word").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_told_as_text() {
        assert_eq!(guarded(|| 3), Ok(3));
        assert_eq!(guarded(|| panic!("no row {}", 7)), Err::<(), _>("no row 7".to_owned()));
        assert_eq!(guarded(|| panic!("no row")), Err::<(), _>("no row".to_owned()));
    }
}
