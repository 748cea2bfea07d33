use half::bf16;
use perennial_kernels::Element;

use super::Matrix;

/// Buffers that passes give back when they are done with them and take again. Memory that is new to a process costs more than
/// most of what a layer computes in it.
#[derive(Default)]
pub struct Workspace {
    f32: Pool<f32>,
    bf16: Pool<bf16>,
}

#[derive(Default)]
pub(crate) struct Pool<T> {
    free: Vec<Vec<T>>,
}

/// The types of numbers that a workspace has buffers of.
pub(crate) trait Stored: Element {
    fn pool(workspace: &mut Workspace) -> &mut Pool<Self>;

    /// A buffer's values, rounded; the buffer itself where there is nothing to round.
    fn rounded(values: Vec<f32>, workspace: &mut Workspace) -> Vec<Self>;
}

impl Stored for f32 {
    fn pool(workspace: &mut Workspace) -> &mut Pool<Self> {
        &mut workspace.f32
    }

    fn rounded(values: Vec<f32>, _workspace: &mut Workspace) -> Vec<Self> {
        values
    }
}

impl Stored for bf16 {
    fn pool(workspace: &mut Workspace) -> &mut Pool<Self> {
        &mut workspace.bf16
    }

    fn rounded(values: Vec<f32>, workspace: &mut Workspace) -> Vec<Self> {
        let rounded = workspace.copy(&values);
        workspace.give(values);
        rounded
    }
}

impl Workspace {
    /// A buffer of this length, with whatever is in it: none that would be wasted on so few values.
    pub(crate) fn take<T: Stored>(&mut self, len: usize) -> Vec<T> {
        let free = &mut T::pool(self).free;
        let fitting = free.iter().enumerate().filter(|(_, buffer)| (len..=2 * len).contains(&buffer.capacity()));
        let smallest = fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at);
        let mut buffer = smallest.map_or_else(|| Vec::with_capacity(roomy(len)), |at| free.swap_remove(at));
        buffer.resize(len, T::default());
        buffer
    }

    /// A buffer that holds the values, rounded.
    pub(crate) fn copy<T: Stored>(&mut self, values: &[f32]) -> Vec<T> {
        let mut buffer = self.take(values.len());
        perennial_kernels::convert(&mut buffer, values);
        buffer
    }

    /// Takes back what a pass gave.
    pub fn give_matrix(&mut self, matrix: Matrix) {
        self.give(matrix.into_values());
    }

    pub(crate) fn give<T: Stored>(&mut self, buffer: Vec<T>) {
        if buffer.capacity() > 0 {
            T::pool(self).free.push(buffer);
        }
    }
}

/// A length for buffers that somewhat longer ones are to fit into as well, at most an eighth above what is asked for: passes are
/// seldom over just as many rows as the last.
fn roomy(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 16).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_buffer_that_fits_is_taken_again() {
        let mut workspace = Workspace::default();
        for len in [10, 100, 50] {
            workspace.give(vec![1.0_f32; len]);
        }
        assert!((50..100).contains(&workspace.take::<f32>(40).capacity()));
        assert!((40..50).contains(&workspace.take::<f32>(40).capacity()));
        assert!(workspace.take::<f32>(60).capacity() >= 100);
        assert_eq!(workspace.take::<f32>(20).len(), 20);
        assert_eq!(workspace.take::<bf16>(3).len(), 3);
    }
}
