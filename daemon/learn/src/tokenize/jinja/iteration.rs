//! Loops, and what can be looped over.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use minijinja::machinery::ast;

use super::{
    budget::Budget,
    fault::{Result, error},
    items::Items,
    scope::Scope,
    value::Value,
};

/// The items of a value, as Python's `iter` gives them.
pub(super) fn items_of(value: &Value, budget: &Budget) -> Result<Rc<Items>> {
    let items: Rc<Items> = match value {
        Value::Undefined(_) => Rc::default(),
        Value::List(items) | Value::Tuple(items) => items.clone(),
        Value::Dict(dict) => Rc::new(Items::new(dict.iter().map(|(key, _)| key.clone()).collect())),
        Value::Str(text) => {
            budget.steps(text.len())?;
            let character = |character: char| Value::str(character.encode_utf8(&mut [0; 4]) as &str);
            Rc::new(Items::new(text.chars().map(character).collect()))
        }
        other => return error(format!("'{}' object is not iterable", other.type_name())),
    };
    budget.steps(items.len())?;
    Ok(items)
}

/// What `loop` is inside a loop.
pub(crate) struct LoopState {
    pub(super) items: Rc<Items>,
    pub(super) at: Cell<usize>,
    pub(super) depth: usize,
    /// What `loop.changed` saw last.
    pub(super) changed: RefCell<Option<Vec<Value>>>,
    /// The loop itself and the scope around it, where it may call itself.
    pub(super) recursion: Option<(&'static ast::ForLoop<'static>, Rc<Scope>)>,
}

impl fmt::Debug for LoopState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loop({}/{})", self.at.get(), self.items.len())
    }
}

impl LoopState {
    /// `loop.index` and its like; `None` where there is no such attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<Value> {
        let (at, length) = (self.at.get(), self.items.len());
        let int = |number: usize| Value::Int(number as i128);
        let neighbour = |item: Option<&Value>| item.cloned().unwrap_or_else(|| Value::undefined(name));
        Some(match name {
            "index" => int(at + 1),
            "index0" => int(at),
            "revindex" => int(length - at),
            "revindex0" => int(length - at - 1),
            "first" => Value::Bool(at == 0),
            "last" => Value::Bool(at + 1 == length),
            "length" => int(length),
            "depth" => int(self.depth + 1),
            "depth0" => int(self.depth),
            "previtem" => neighbour(at.checked_sub(1).and_then(|before| self.items.get(before))),
            "nextitem" => neighbour(self.items.get(at + 1)),
            _ => return None,
        })
    }
}
