//! What a template computes with: Python's values, as far as templates can tell.

mod dict;
mod items;
mod loop_state;
mod scope;

use std::{cell::RefCell, rc::Rc};

pub(super) use dict::Dict;
pub(super) use items::Items;
pub(super) use loop_state::LoopState;
pub(super) use scope::{Macro, Scope};

use super::fault::{Result, error};

/// A value. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What is not there, by the name it was asked for.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<str>),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Dict>),
    /// The one thing that a template can change.
    Namespace(Rc<RefCell<Dict>>),
    Loop(Rc<LoopState>),
    Macro(Rc<Macro>),
    /// A method of a value that is not called yet, by its name.
    Method(Rc<(Value, &'static str)>),
    /// A global function, by its name.
    Function(&'static str),
}

impl Value {
    pub(crate) fn str(text: impl Into<Rc<str>>) -> Self {
        Self::Str(text.into())
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(Items::new(items)))
    }

    pub(super) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(Items::new(items)))
    }

    pub(super) fn undefined(name: &str) -> Self {
        Self::Undefined(name.into())
    }

    /// As `json.loads` reads it.
    pub(crate) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::None,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                whole.map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int)
            }
            Json::String(text) => Self::str(text.as_str()),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => Self::from_fields(fields.iter()),
        }
    }

    /// A dictionary of these fields, in their order.
    pub(crate) fn from_fields<'a>(fields: impl Iterator<Item = (&'a String, &'a serde_json::Value)>) -> Self {
        let entries = fields.map(|(name, value)| (Self::str(name.as_str()), Self::from_json(value)));
        Self::Dict(Rc::new(entries.collect()))
    }

    /// A constant of the template's text.
    pub(super) fn from_constant(constant: &minijinja::Value) -> Result<Self> {
        use minijinja::value::ValueKind;
        Ok(match constant.kind() {
            ValueKind::Undefined => Self::undefined("constant"),
            ValueKind::None => Self::None,
            ValueKind::Bool => Self::Bool(constant.is_true()),
            ValueKind::Number if constant.is_integer() => match i128::try_from(constant.clone()) {
                Ok(number) => Self::Int(number),
                Err(_) => return error("an integer of the template has too many digits"),
            },
            ValueKind::Number => Self::Float(f64::try_from(constant.clone()).unwrap_or(f64::NAN)),
            ValueKind::String => Self::str(constant.as_str().unwrap_or_default()),
            kind => return error(format!("a constant of the kind {kind} is not known here")),
        })
    }

    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Python's `bool(value)`.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Dict(dict) => !dict.is_empty(),
            Self::Loop(_) | Self::Namespace(_) | Self::Macro(_) | Self::Method(_) | Self::Function(_) => true,
        }
    }

    /// The name of Python's type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(_) => "Macro",
            Self::Method(_) => "method",
            Self::Function(_) => "function",
        }
    }

    /// How deep lists and dictionaries nest in it.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::List(items) | Self::Tuple(items) => items.depth(),
            Self::Dict(dict) => dict.depth(),
            _ => 0,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub(super) fn as_items(&self) -> Option<&Rc<Items>> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// An integer, or a boolean as one.
    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Bool(flag) => Some(i128::from(*flag)),
            _ => None,
        }
    }

    /// Any number as a float.
    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            other => other.as_int().map(|number| number as f64),
        }
    }

    /// A count or a width that a function was given.
    pub(super) fn to_int(&self, what: &str) -> Result<i128> {
        match self.as_int() {
            Some(number) => Ok(number),
            None => error(format!("{what} must be an integer, not {}", self.type_name())),
        }
    }

    /// A text that a function was given.
    pub(super) fn to_text(&self, what: &str) -> Result<Rc<str>> {
        match self {
            Self::Str(text) => Ok(text.clone()),
            other => error(format!("{what} must be a string, not {}", other.type_name())),
        }
    }

    /// What an operation on something that is not there says.
    pub(super) fn require(&self) -> Result<&Self> {
        match self {
            Self::Undefined(name) => error(format!("'{name}' is undefined")),
            value => Ok(value),
        }
    }
}
