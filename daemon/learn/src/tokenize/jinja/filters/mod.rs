//! Filters: Jinja's own, but for those that write HTML.

mod lists;
mod numbers;
mod picking;
mod texts;

use super::{
    args::Args,
    fault::{Result, error},
    machine::Machine,
    value::Value,
};

type Filter = fn(&mut Machine<'_>, Value, Args) -> Result<Value>;

/// `value | name(args)`.
pub(super) fn apply(machine: &mut Machine<'_>, name: &str, value: Value, args: Args) -> Result<Value> {
    let tables = [texts::FILTERS, lists::FILTERS, picking::FILTERS, numbers::FILTERS];
    match tables.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name) {
        Some((_, filter)) => filter(machine, value, args),
        None => error(format!("No filter named '{name}'")),
    }
}
