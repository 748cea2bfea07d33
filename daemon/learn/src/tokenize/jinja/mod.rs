//! Jinja as transformers renders chat templates with it (`utils/chat_template_utils.py`): Python's values, texts and
//! methods, so that a template writes here what it writes there; and a bound on all that it does, since a template is a
//! program that comes with a model's files.
//!
//! The parser is minijinja's. The values are not, since its texts of booleans, none, floats, lists and dictionaries, its
//! attributes and its arithmetic are not Python's, and since what its values do is not counted as work.

mod args;
mod attribute;
mod budget;
mod call;
mod compare;
mod expression;
mod fault;
mod filters;
mod format;
mod functions;
mod iteration;
mod json;
mod machine;
mod methods;
mod ops;
mod output;
mod program;
mod repr;
mod statement;
#[cfg(test)]
mod tests;
mod tests_of_values;

pub(super) use budget::Budget;
pub(super) use fault::Fault;
pub(super) use program::Program;
pub(super) use value::Value;

mod value;
