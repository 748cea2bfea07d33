use std::{collections::BTreeMap, rc::Rc};

use super::Value;

/// A dictionary that keeps the order in which keys were first set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict {
    entries: Vec<(Value, Value)>,
    names: BTreeMap<Rc<str>, usize>,
    depth: usize,
}

impl Dict {
    pub(in crate::tokenize::jinja) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::tokenize::jinja) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::tokenize::jinja) fn depth(&self) -> usize {
        self.depth
    }

    pub(in crate::tokenize::jinja) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(in crate::tokenize::jinja) fn iter(&self) -> impl DoubleEndedIterator<Item = &(Value, Value)> {
        self.entries.iter()
    }

    pub(in crate::tokenize::jinja) fn get(&self, key: &Value) -> Option<&Value> {
        match key {
            Value::Str(name) => self.named(name),
            key => self.place(key).map(|place| &self.entries[place].1),
        }
    }

    pub(in crate::tokenize::jinja) fn named(&self, name: &str) -> Option<&Value> {
        self.names.get(name).map(|place| &self.entries[*place].1)
    }

    pub(in crate::tokenize::jinja) fn set(&mut self, key: Value, value: Value) {
        self.depth = self.depth.max(1 + value.depth());
        let place = match &key {
            Value::Str(name) => self.names.get(name).copied(),
            key => self.place(key),
        };
        match place {
            Some(place) => self.entries[place].1 = value,
            None => {
                if let Value::Str(name) = &key {
                    self.names.insert(name.clone(), self.entries.len());
                }
                self.entries.push((key, value));
            }
        }
    }

    /// Keys that are no strings are numbers, booleans or none, and few.
    fn place(&self, wanted: &Value) -> Option<usize> {
        let same = |key: &Value| match (key, wanted) {
            (Value::None, Value::None) => true,
            (key, wanted) => key.as_float().is_some_and(|key| Some(key) == wanted.as_float()),
        };
        self.entries.iter().position(|(key, _)| same(key))
    }
}

impl FromIterator<(Value, Value)> for Dict {
    fn from_iter<T: IntoIterator<Item = (Value, Value)>>(entries: T) -> Self {
        let mut dict = Self::default();
        for (key, value) in entries {
            dict.set(key, value);
        }
        dict
    }
}
