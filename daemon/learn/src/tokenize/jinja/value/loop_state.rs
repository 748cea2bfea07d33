use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use minijinja::machinery::ast;

use super::{Items, Scope, Value};

/// What `loop` is inside a loop.
pub(crate) struct LoopState {
    pub(in crate::tokenize::jinja) items: Rc<Items>,
    pub(in crate::tokenize::jinja) at: Cell<usize>,
    pub(in crate::tokenize::jinja) depth: usize,
    /// What `loop.changed` saw last.
    pub(in crate::tokenize::jinja) changed: RefCell<Option<Vec<Value>>>,
    /// The loop itself and the scope around it, where it may call itself.
    pub(in crate::tokenize::jinja) recursion: Option<(&'static ast::ForLoop<'static>, Rc<Scope>)>,
}

impl fmt::Debug for LoopState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loop({}/{})", self.at.get(), self.items.len())
    }
}

impl LoopState {
    /// `loop.index` and its like; `None` where there is no such attribute.
    pub(in crate::tokenize::jinja) fn attribute(&self, name: &str) -> Option<Value> {
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
