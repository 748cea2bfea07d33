use std::ops::Deref;

use super::Value;

/// The items of a list or tuple, and how deep lists and dictionaries nest in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    values: Vec<Value>,
    depth: usize,
}

impl Items {
    pub(in crate::tokenize::jinja) fn new(values: Vec<Value>) -> Self {
        let depth = 1 + values.iter().map(Value::depth).max().unwrap_or(0);
        Self { values, depth }
    }

    pub(in crate::tokenize::jinja) fn depth(&self) -> usize {
        self.depth
    }
}

impl Deref for Items {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.values
    }
}
