use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

use minijinja::machinery::ast;

use super::Value;

/// The variables of a block, and of those around it.
#[derive(Default)]
pub(crate) struct Scope {
    variables: RefCell<BTreeMap<Rc<str>, Value>>,
    outer: Option<Rc<Scope>>,
}

impl Scope {
    /// An empty scope inside another.
    pub(in crate::tokenize::jinja) fn inside(outer: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), outer: Some(outer.clone()) })
    }

    pub(in crate::tokenize::jinja) fn set(&self, name: &str, value: Value) {
        self.variables.borrow_mut().insert(name.into(), value);
    }

    pub(in crate::tokenize::jinja) fn clear(&self) {
        self.variables.take();
    }

    pub(in crate::tokenize::jinja) fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.variables.borrow().get(name) {
                return Some(value.clone());
            }
            scope = scope.outer.as_deref()?;
        }
    }
}

/// A macro, or the body of a call block, with the scope that it was written in.
pub(crate) struct Macro {
    pub(in crate::tokenize::jinja) declared: &'static ast::Macro<'static>,
    pub(in crate::tokenize::jinja) scope: Rc<Scope>,
}

impl fmt::Debug for Macro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Macro({})", self.declared.name)
    }
}
