//! Calls: of functions, macros, methods, and of loops that call themselves.

use std::rc::Rc;

use minijinja::machinery::ast::{self, CallArg, Expr};

use super::{
    args::Args,
    attribute::attribute,
    compare::equal,
    fault::{Result, error},
    functions,
    iteration::items_of,
    machine::Machine,
    methods,
    value::{LoopState, Macro, Scope, Value},
};

impl Machine<'_> {
    /// The arguments of a call, a filter or a test.
    pub(super) fn args(&mut self, written: &'static [CallArg<'static>], scope: &Rc<Scope>) -> Result<Args> {
        let mut args = Args::default();
        for arg in written {
            match arg {
                CallArg::Pos(value) => args.positional.push(self.eval(value, scope)?),
                CallArg::Kwarg(name, value) => args.named.push(((*name).into(), self.eval(value, scope)?)),
                CallArg::PosSplat(values) => {
                    let values = self.eval(values, scope)?;
                    args.positional.extend(items_of(&values, self.budget)?.iter().cloned());
                }
                CallArg::KwargSplat(values) => match self.eval(values, scope)? {
                    Value::Dict(dict) => {
                        self.budget.steps(dict.len())?;
                        for (name, value) in dict.iter() {
                            args.named.push((name.to_text("the name of an argument")?, value.clone()));
                        }
                    }
                    other => return error(format!("argument after ** must be a mapping, not {}", other.type_name())),
                },
            }
        }
        Ok(args)
    }

    pub(super) fn call_expression(&mut self, call: &'static ast::Call<'static>, scope: &Rc<Scope>) -> Result<Value> {
        let called = match &call.expr {
            Expr::GetAttr(of) => {
                let value = self.eval(&of.expr, scope)?;
                if let Value::Loop(state) = &value {
                    let args = self.args(&call.args, scope)?;
                    return self.loop_method(state, of.name, args);
                }
                attribute(&value, of.name)?
            }
            other => self.eval(other, scope)?,
        };
        let args = self.args(&call.args, scope)?;
        self.call(&called, args)
    }

    pub(super) fn call(&mut self, called: &Value, args: Args) -> Result<Value> {
        match called.require()? {
            Value::Function(name) => functions::call(self, name, args),
            Value::Method(method) => methods::call(self, &method.0, method.1, args),
            Value::Macro(called) => self.call_macro(called, args),
            Value::Loop(state) => self.call_loop(state, args),
            other => error(format!("'{}' object is not callable", other.type_name())),
        }
    }

    fn call_macro(&mut self, called: &Rc<Macro>, args: Args) -> Result<Value> {
        let Macro { declared, scope } = &**called;
        let inner = Scope::inside(scope);
        let mut positional = args.positional.into_iter();
        let mut named = args.named;
        let without_default = declared.args.len().saturating_sub(declared.defaults.len());
        for (at, arg) in declared.args.iter().enumerate() {
            let Expr::Var(arg) = arg else { return error("a macro's argument must be a name") };
            let by_name = named.iter().position(|(name, _)| **name == *arg.id);
            let value = match (positional.next(), by_name) {
                (Some(value), None) => value,
                (None, Some(place)) => named.remove(place).1,
                (Some(_), Some(_)) => return error(format!("macro got several values for '{}'", arg.id)),
                (None, None) => match at.checked_sub(without_default).and_then(|at| declared.defaults.get(at)) {
                    Some(default) => self.eval(default, &inner)?,
                    None => Value::undefined(arg.id),
                },
            };
            inner.set(arg.id, value);
        }
        if let Some(place) = named.iter().position(|(name, _)| &**name == "caller") {
            inner.set("caller", named.remove(place).1);
        }
        // Jinja takes further arguments only where the body asks for them.
        inner.set("varargs", Value::tuple(positional.collect()));
        inner.set(
            "kwargs",
            Value::Dict(Rc::new(named.into_iter().map(|(name, value)| (Value::Str(name), value)).collect())),
        );
        let budget = self.budget;
        budget.deeper(|| self.collect(&declared.body, &inner)).map(Value::Str)
    }

    fn call_loop(&mut self, state: &LoopState, args: Args) -> Result<Value> {
        let Some((written, scope)) = &state.recursion else {
            return error("the loop must have the 'recursive' marker to be called recursively");
        };
        let [over] = args.bind("loop", ["iterable"])?;
        let over = super::args::required(over, "what to loop over")?;
        self.loop_depth += 1;
        self.output.begin();
        let looped = self.loop_over(written, over, scope);
        let text = self.output.end();
        self.loop_depth -= 1;
        looped.map(|()| Value::str(text))
    }

    fn loop_method(&mut self, state: &LoopState, name: &str, args: Args) -> Result<Value> {
        match name {
            "cycle" => match args.positional.len() {
                0 => error("no items for cycling given"),
                count => Ok(args.positional[state.at.get() % count].clone()),
            },
            "changed" => {
                let seen = state.changed.replace(Some(args.positional.clone()));
                let same = match seen {
                    Some(seen) => equal(&Value::tuple(seen), &Value::tuple(args.positional), self.budget)?,
                    None => false,
                };
                Ok(Value::Bool(!same))
            }
            _ => error(format!("'{name}' is undefined")),
        }
    }
}
