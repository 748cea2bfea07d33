//! How element-wise kernels cut their work into tasks: by shape alone, so that results do not depend on the threads.

/// About how many values one task of an element-wise kernel takes.
pub(crate) const TASK_VALUES: usize = 16 * 1024;

/// How many rows of `cols` values a task takes.
pub(crate) fn rows_per_task(cols: usize) -> usize {
    (TASK_VALUES / cols.max(1)).max(1)
}

/// How many values a task takes: whole rows of `cols` values.
pub(crate) fn values_per_task(cols: usize) -> usize {
    rows_per_task(cols) * cols.max(1)
}
