use std::rc::Rc;

use super::{
    fault::{Result, error},
    value::Value,
};

/// What a function, filter or test is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(Rc<str>, Value)>,
}

impl Args {
    pub(super) fn of(value: Value) -> Self {
        Self { positional: vec![value], named: Vec::new() }
    }

    /// The arguments by the names of the parameters; what is not given is `None`.
    pub(super) fn bind<const N: usize>(self, what: &str, names: [&str; N]) -> Result<[Option<Value>; N]> {
        let given = self.positional.len();
        if given > N {
            return error(format!("{what}() takes at most {N} arguments, not {given}"));
        }
        let mut bound: [Option<Value>; N] = [const { None }; N];
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|wanted| *wanted == &*name) {
                Some(place) if bound[place].is_some() => {
                    return error(format!("{what}() got several values for the argument '{name}'"));
                }
                Some(place) => bound[place] = Some(value),
                None => return error(format!("{what}() has no argument '{name}'")),
            }
        }
        Ok(bound)
    }
}

/// An argument that must be given.
pub(super) fn required(value: Option<Value>, what: &str) -> Result<Value> {
    match value {
        Some(value) => Ok(value),
        None => error(format!("{what} is missing")),
    }
}
