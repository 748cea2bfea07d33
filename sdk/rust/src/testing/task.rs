use crate::{Message, Role, Sample, Task};

/// A task with one user message as its prompt, and nothing else yet.
pub fn task(prompt: impl Into<String>) -> Task {
    Task {
        prompt: vec![Message { role: Role::User, content: prompt.into() }],
        reference: None,
        labels: Vec::new(),
        metadata_json: "{}".to_owned(),
        samples: Vec::new(),
    }
}

/// Builders, for tests alone: a plugin receives tasks and makes none.
impl Task {
    /// Replaces the prompt by these messages.
    #[must_use]
    pub fn messages<S: Into<String>>(mut self, messages: impl IntoIterator<Item = (Role, S)>) -> Self {
        self.prompt = messages.into_iter().map(|(role, content)| Message { role, content: content.into() }).collect();
        self
    }

    /// Sets the reference.
    #[must_use]
    pub fn reference(self, reference: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()), ..self }
    }

    /// Adds a label.
    #[must_use]
    pub fn labelled(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self.labels.sort();
        self
    }

    /// Sets the metadata, a JSON object.
    #[must_use]
    pub fn with_metadata(self, metadata: &serde_json::Value) -> Self {
        Self { metadata_json: metadata.to_string(), ..self }
    }

    /// Replaces the samples by these completions.
    #[must_use]
    pub fn completions<S: Into<String>>(mut self, completions: impl IntoIterator<Item = S>) -> Self {
        let sample = |(at, completion): (usize, S)| Sample { id: format!("{at}"), completion: completion.into() };
        self.samples = completions.into_iter().enumerate().map(sample).collect();
        self
    }
}
