//! Statements: what stands between `{%` and `%}`, and the text between them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use minijinja::machinery::ast::{self, Stmt};

use super::{
    fault::{Result, error},
    iteration::items_of,
    machine::{Flow, Machine},
    program::GENERATION,
    repr,
    value::{Items, LoopState, Macro, Scope, Value},
};

type Body = &'static [Stmt<'static>];

impl Machine<'_> {
    /// Runs statements one after another, until one of them ends the loop around it or its round.
    pub(super) fn run(&mut self, statements: Body, scope: &Rc<Scope>) -> Result<Flow> {
        for statement in statements {
            self.budget.steps(1)?;
            let budget = self.budget;
            let flow = budget.deeper(|| self.statement(statement, scope))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'static Stmt<'static>, scope: &Rc<Scope>) -> Result<Flow> {
        match statement {
            Stmt::EmitRaw(raw) => self.output.write(raw.raw, self.budget)?,
            Stmt::EmitExpr(emitted) => {
                let value = self.eval(&emitted.expr, scope)?;
                let text = repr::to_str(&value, self.budget)?;
                self.output.write(&text, self.budget)?;
            }
            Stmt::IfCond(condition) => return self.condition(condition, scope),
            Stmt::ForLoop(written) => return self.for_loop(written, scope),
            Stmt::Set(set) => {
                let value = self.eval(&set.expr, scope)?;
                self.assign(&set.target, value, scope)?;
            }
            Stmt::Macro(declared) => {
                let declared_macro = self.declare(declared, scope);
                scope.set(declared.name, declared_macro);
            }
            Stmt::Continue(_) => return Ok(Flow::Continue),
            Stmt::Break(_) => return Ok(Flow::Break),
            other => return self.rarer_statement(other, scope),
        }
        Ok(Flow::Next)
    }

    #[inline(never)]
    fn rarer_statement(&mut self, statement: &'static Stmt<'static>, scope: &Rc<Scope>) -> Result<Flow> {
        match statement {
            Stmt::Template(template) => return self.run(&template.children, scope),
            Stmt::WithBlock(with) => {
                let inner = Scope::inside(scope);
                for (target, value) in &with.assignments {
                    let value = self.eval(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.run(&with.body, &inner);
            }
            Stmt::SetBlock(set) => {
                let text = Value::Str(self.collect(&set.body, &Scope::inside(scope))?);
                let value = match &set.filter {
                    Some(filter) => self.filtered(filter, text, scope)?,
                    None => text,
                };
                self.assign(&set.target, value, scope)?;
            }
            Stmt::FilterBlock(block) => {
                let text = Value::Str(self.collect(&block.body, &Scope::inside(scope))?);
                let value = self.filtered(&block.filter, text, scope)?;
                let text = repr::to_str(&value, self.budget)?;
                self.output.write(&text, self.budget)?;
            }
            Stmt::CallBlock(block) => self.call_block(block, scope)?,
            Stmt::AutoEscape(block) => return self.run(&block.body, scope),
            Stmt::Block(block) => return self.run(&block.body, &Scope::inside(scope)),
            Stmt::Do(_) => return error("Encountered unknown tag 'do'"),
            _ => return error("other templates cannot be loaded: include, import and extends are not supported"),
        }
        Ok(Flow::Next)
    }

    /// `elif` is an `if` inside `else`: followed here, so that a long row of them nests no deeper.
    fn condition(&mut self, mut condition: &'static ast::IfCond<'static>, scope: &Rc<Scope>) -> Result<Flow> {
        loop {
            self.budget.steps(1)?;
            if self.eval(&condition.expr, scope)?.is_true() {
                return self.run(&condition.true_body, scope);
            }
            match condition.false_body.as_slice() {
                [Stmt::IfCond(next)] => condition = next,
                otherwise => return self.run(otherwise, scope),
            }
        }
    }

    fn for_loop(&mut self, written: &'static ast::ForLoop<'static>, scope: &Rc<Scope>) -> Result<Flow> {
        let over = self.eval(&written.iter, scope)?;
        self.loop_over(written, over, scope)?;
        Ok(Flow::Next)
    }

    /// Runs a loop over the items of a value, in the scope that it was written in.
    pub(super) fn loop_over(
        &mut self,
        written: &'static ast::ForLoop<'static>,
        over: Value,
        scope: &Rc<Scope>,
    ) -> Result<()> {
        let mut items = items_of(&over, self.budget)?;
        if let Some(filter) = &written.filter_expr {
            let mut kept = Vec::new();
            for item in items.iter() {
                let inner = Scope::inside(scope);
                self.assign(&written.target, item.clone(), &inner)?;
                if self.eval(filter, &inner)?.is_true() {
                    kept.push(item.clone());
                }
            }
            items = Rc::new(Items::new(kept));
        }
        if items.is_empty() {
            return self.run(&written.else_body, scope).map(|_| ());
        }
        let state = Rc::new(LoopState {
            items: items.clone(),
            at: Cell::new(0),
            depth: self.loop_depth,
            changed: RefCell::default(),
            recursion: written.recursive.then(|| (written, scope.clone())),
        });
        for (at, item) in items.iter().enumerate() {
            state.at.set(at);
            let inner = Scope::inside(scope);
            inner.set("loop", Value::Loop(state.clone()));
            self.assign(&written.target, item.clone(), &inner)?;
            if self.run(&written.body, &inner)? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn declare(&mut self, declared: &'static ast::Macro<'static>, scope: &Rc<Scope>) -> Value {
        self.ends.scopes.push(scope.clone());
        Value::Macro(Rc::new(Macro { declared, scope: scope.clone() }))
    }

    fn call_block(&mut self, block: &'static ast::CallBlock<'static>, scope: &Rc<Scope>) -> Result<()> {
        if let ast::Expr::Var(called) = &block.call.expr
            && called.id == GENERATION
        {
            let text = self.collect(&block.macro_decl.body, &Scope::inside(scope))?;
            return self.output.write_generated(&text, self.budget);
        }
        let called = self.eval(&block.call.expr, scope)?;
        let mut args = self.args(&block.call.args, scope)?;
        let caller = self.declare(&block.macro_decl, scope);
        args.named.push(("caller".into(), caller));
        let value = self.call(&called, args)?;
        let text = repr::to_str(&value, self.budget)?;
        self.output.write(&text, self.budget)
    }
}
