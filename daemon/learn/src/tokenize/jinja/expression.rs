//! Expressions: what stands between `{{` and `}}`, and inside statements.

use std::rc::Rc;

use minijinja::machinery::ast::{self, BinOpKind, CompareOpKind, Expr, UnaryOpKind};

use super::{
    attribute,
    compare::{compare, contains, equal},
    fault::{Result, error},
    filters, functions,
    machine::Machine,
    ops, repr, tests_of_values,
    value::{Dict, Scope, Value},
};

impl Machine<'_> {
    /// Counts as a step.
    pub(super) fn eval(&mut self, expression: &'static Expr<'static>, scope: &Rc<Scope>) -> Result<Value> {
        self.budget.steps(1)?;
        match expression {
            Expr::Var(variable) => Ok(self.variable(variable.id, scope)),
            Expr::Const(constant) => Value::from_constant(&constant.value),
            compound => {
                let budget = self.budget;
                budget.deeper(|| self.compound(compound, scope))
            }
        }
    }

    fn variable(&self, name: &str, scope: &Rc<Scope>) -> Value {
        scope.get(name).or_else(|| functions::named(name)).unwrap_or_else(|| Value::undefined(name))
    }

    fn compound(&mut self, expression: &'static Expr<'static>, scope: &Rc<Scope>) -> Result<Value> {
        match expression {
            Expr::GetAttr(of) => {
                let value = self.eval(&of.expr, scope)?;
                attribute::attribute(&value, of.name)
            }
            Expr::GetItem(of) => {
                let value = self.eval(&of.expr, scope)?;
                let key = self.eval(&of.subscript_expr, scope)?;
                self.budget.steps(value.as_str().map_or(0, |text| text.len() / 64))?;
                attribute::item(&value, &key)
            }
            Expr::BinOp(operation) => self.operation(operation, scope),
            Expr::Call(call) => self.call_expression(call, scope),
            Expr::Filter(filter) => {
                let value = match &filter.expr {
                    Some(value) => self.eval(value, scope)?,
                    None => return error(format!("the filter '{}' has nothing to work on", filter.name)),
                };
                let args = self.args(&filter.args, scope)?;
                filters::apply(self, filter.name, value, args)
            }
            Expr::Test(test) => {
                let value = self.eval(&test.expr, scope)?;
                let args = self.args(&test.args, scope)?;
                tests_of_values::holds(self, test.name, &value, args).map(Value::Bool)
            }
            other => self.rarer(other, scope),
        }
    }

    #[inline(never)]
    fn rarer(&mut self, expression: &'static Expr<'static>, scope: &Rc<Scope>) -> Result<Value> {
        match expression {
            Expr::IfExpr(choice) => match self.eval(&choice.test_expr, scope)?.is_true() {
                true => self.eval(&choice.true_expr, scope),
                false => match &choice.false_expr {
                    Some(otherwise) => self.eval(otherwise, scope),
                    None => Ok(Value::undefined("the inline if-expression without else")),
                },
            },
            Expr::UnaryOp(operation) => {
                let value = self.eval(&operation.expr, scope)?;
                match (&operation.op, value.require()) {
                    (UnaryOpKind::Not, _) => Ok(Value::Bool(!value.is_true())),
                    (UnaryOpKind::Neg, value) => negative(value?),
                }
            }
            Expr::Compare(chain) => self.chain(chain, scope),
            Expr::Slice(slice) => self.slice(slice, scope),
            Expr::List(list) => {
                let items = self.all(&list.items, scope)?;
                // The parser makes lists of tuples.
                let is_tuple = self.text.as_bytes().get(list.span().start_offset as usize) == Some(&b'(');
                Ok(if is_tuple { Value::tuple(items) } else { Value::list(items) })
            }
            Expr::Map(map) => {
                let (keys, values) = (self.all(&map.keys, scope)?, self.all(&map.values, scope)?);
                if let Some(key) = keys.iter().find(|key| matches!(key, Value::List(_) | Value::Dict(_))) {
                    return error(format!("unhashable type: '{}'", key.type_name()));
                }
                Ok(Value::Dict(Rc::new(keys.into_iter().zip(values).collect::<Dict>())))
            }
            _ => error("this expression is not known here"),
        }
    }

    fn all(&mut self, expressions: &'static [Expr<'static>], scope: &Rc<Scope>) -> Result<Vec<Value>> {
        expressions.iter().map(|expression| self.eval(expression, scope)).collect()
    }

    fn operation(&mut self, operation: &'static ast::BinOp<'static>, scope: &Rc<Scope>) -> Result<Value> {
        let left = self.eval(&operation.left, scope)?;
        match operation.op {
            BinOpKind::ScAnd if !left.is_true() => return Ok(left),
            BinOpKind::ScOr if left.is_true() => return Ok(left),
            BinOpKind::ScAnd | BinOpKind::ScOr => return self.eval(&operation.right, scope),
            _ => {}
        }
        let right = self.eval(&operation.right, scope)?;
        let budget = self.budget;
        Ok(match operation.op {
            BinOpKind::Concat => ops::concat(&repr::to_str(&left, budget)?, &repr::to_str(&right, budget)?, budget)?,
            BinOpKind::Eq => Value::Bool(equal(&left, &right, budget)?),
            BinOpKind::Ne => Value::Bool(!equal(&left, &right, budget)?),
            BinOpKind::Lt => Value::Bool(compare(&left, &right, budget)?.is_lt()),
            BinOpKind::Lte => Value::Bool(compare(&left, &right, budget)?.is_le()),
            BinOpKind::Gt => Value::Bool(compare(&left, &right, budget)?.is_gt()),
            BinOpKind::Gte => Value::Bool(compare(&left, &right, budget)?.is_ge()),
            BinOpKind::In => Value::Bool(contains(&right, &left, budget)?),
            op => ops::arithmetic(op, &left, &right, budget)?,
        })
    }

    /// `a < b < c`, which holds where each part does.
    fn chain(&mut self, chain: &'static ast::Compare<'static>, scope: &Rc<Scope>) -> Result<Value> {
        let mut left = self.eval(&chain.expr, scope)?;
        for part in &chain.ops {
            let right = self.eval(&part.expr, scope)?;
            let budget = self.budget;
            let holds = match part.op {
                CompareOpKind::Eq => equal(&left, &right, budget)?,
                CompareOpKind::Ne => !equal(&left, &right, budget)?,
                CompareOpKind::Lt => compare(&left, &right, budget)?.is_lt(),
                CompareOpKind::Lte => compare(&left, &right, budget)?.is_le(),
                CompareOpKind::Gt => compare(&left, &right, budget)?.is_gt(),
                CompareOpKind::Gte => compare(&left, &right, budget)?.is_ge(),
                CompareOpKind::In => contains(&right, &left, budget)?,
                CompareOpKind::NotIn => !contains(&right, &left, budget)?,
            };
            if !holds {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn slice(&mut self, slice: &'static ast::Slice<'static>, scope: &Rc<Scope>) -> Result<Value> {
        let sequence = self.eval(&slice.expr, scope)?;
        let mut bounds = [None; 3];
        for (bound, written) in bounds.iter_mut().zip([&slice.start, &slice.stop, &slice.step]) {
            let Some(written) = written else { continue };
            *bound = match self.eval(written, scope)? {
                Value::None => None,
                value => Some(value.require()?.to_int("a slice index")?),
            };
        }
        ops::slice(&sequence, bounds, self.budget)
    }

    /// A value through a filter that is written without one, as in `{% filter upper %}` and `{% set x | trim %}`.
    pub(super) fn filtered(
        &mut self,
        filter: &'static Expr<'static>,
        value: Value,
        scope: &Rc<Scope>,
    ) -> Result<Value> {
        let Expr::Filter(filter) = filter else { return error("only filters can stand here") };
        let value = match &filter.expr {
            Some(inner) => self.filtered(inner, value, scope)?,
            None => value,
        };
        let args = self.args(&filter.args, scope)?;
        filters::apply(self, filter.name, value, args)
    }
}

fn negative(value: &Value) -> Result<Value> {
    match (value.as_int(), value) {
        (Some(number), _) => match number.checked_neg() {
            Some(number) => Ok(Value::Int(number)),
            None => error("an integer has too many digits"),
        },
        (None, Value::Float(number)) => Ok(Value::Float(-number)),
        (None, other) => error(format!("bad operand type for unary -: '{}'", other.type_name())),
    }
}
