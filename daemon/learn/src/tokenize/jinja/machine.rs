use std::{cell::RefCell, rc::Rc};

use minijinja::machinery::ast;

use super::{
    budget::Budget,
    fault::{Fault, Result, error},
    output::{Output, Written},
    value::{Dict, Scope, Value},
};

/// Runs a template.
pub(super) struct Machine<'b> {
    /// The template's text.
    pub(super) text: &'static str,
    pub(super) budget: &'b Budget,
    pub(super) output: Output,
    /// How many loops call themselves around what runs now.
    pub(super) loop_depth: usize,
    pub(super) ends: Ends,
}

/// What may hold itself: emptied at the end, so that nothing is left behind.
#[derive(Default)]
pub(super) struct Ends {
    /// Those that a macro was written in, and is kept in.
    pub(super) scopes: Vec<Rc<Scope>>,
    /// A namespace may hold itself, or another that does.
    pub(super) namespaces: Vec<Rc<RefCell<Dict>>>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.scopes.iter().for_each(|scope| scope.clear());
        self.namespaces.iter().for_each(|attributes| attributes.borrow_mut().clear());
    }
}

/// How deep lists and dictionaries may nest in a variable, so that the stack holds what walks through them.
const NESTING_MAX: usize = 200;

/// How a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

impl<'b> Machine<'b> {
    pub(super) fn new(text: &'static str, budget: &'b Budget) -> Self {
        Self { text, budget, output: Output::default(), loop_depth: 0, ends: Ends::default() }
    }

    pub(super) fn run_program(
        mut self,
        statements: &'static [ast::Stmt<'static>],
        scope: &Rc<Scope>,
    ) -> Result<Written> {
        self.run(statements, scope)?;
        Ok(std::mem::take(&mut self.output).finish())
    }

    /// Runs statements and gives what they wrote, which is not part of the text yet.
    pub(super) fn collect(&mut self, statements: &'static [ast::Stmt<'static>], scope: &Rc<Scope>) -> Result<Rc<str>> {
        self.output.begin();
        let flow = self.run(statements, scope);
        let text = self.output.end();
        flow.map(|_| text.into())
    }

    /// `target = value`, where the target may be a tuple or an attribute of a namespace.
    pub(super) fn assign(
        &mut self,
        target: &'static ast::Expr<'static>,
        value: Value,
        scope: &Rc<Scope>,
    ) -> Result<()> {
        if value.depth() > NESTING_MAX {
            return Err(Fault::Limit("200 levels of lists in lists"));
        }
        match target {
            ast::Expr::Var(variable) => scope.set(variable.id, value),
            ast::Expr::List(targets) => {
                let items = super::iteration::items_of(&value, self.budget)?;
                if items.len() != targets.items.len() {
                    return error(format!("expected {} values to unpack, got {}", targets.items.len(), items.len()));
                }
                for (target, item) in targets.items.iter().zip(items.iter()) {
                    self.assign(target, item.clone(), scope)?;
                }
            }
            ast::Expr::GetAttr(attribute) => match self.eval(&attribute.expr, scope)? {
                Value::Namespace(_) if attribute.name.starts_with('_') => {
                    return error(format!("cannot store the attribute '{}' on a namespace", attribute.name));
                }
                Value::Namespace(attributes) => {
                    attributes.borrow_mut().set(Value::str(attribute.name), value);
                }
                _ => return error("cannot assign attribute on non-namespace object"),
            },
            _ => return error("cannot assign to this expression"),
        }
        Ok(())
    }
}
