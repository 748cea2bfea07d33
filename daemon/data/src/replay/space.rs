use perennial_types::SampleId;

/// Where rows lie among each other by their embeddings. The arithmetic is the caller's.
pub trait Space: Sync {
    /// The distance of each row to the nearest of the samples that are new to the cycle. Smaller is nearer; rows without an
    /// embedding are infinitely far.
    fn to_new(&self, rows: &[SampleId]) -> Vec<f32>;

    /// The distance of each row to one of them.
    fn to_row(&self, row: SampleId, rows: &[SampleId]) -> Vec<f32>;
}
