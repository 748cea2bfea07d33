use perennial_types::Fingerprinter;

/// The numbers of one tensor, as files that go with an adapter keep them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers {
    /// The tensor's name in PEFT's file, and after it what they are of it.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// The values of the tensor of this name and shape.
pub(super) fn find(tensors: &[Numbers], name: &str, shape: &[usize]) -> Option<Vec<f32>> {
    let found = tensors.iter().find(|of| of.name == name && of.shape == shape);
    found.map(|of| of.values.clone())
}

/// Adds names and values.
pub(super) fn add_to(fingerprinter: &mut Fingerprinter, tensors: &[Numbers]) {
    for Numbers { name, values, .. } in tensors {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fingerprinter.add(name.as_bytes());
        fingerprinter.add(&bytes);
    }
}
