use std::{collections::BTreeMap, fmt, rc::Rc, sync::Mutex};

use minijinja::{
    machinery::{WhitespaceConfig, ast, parse},
    syntax::SyntaxConfig,
};

use super::{
    budget::Budget,
    fault::Fault,
    machine::Machine,
    output::Written,
    value::{Scope, Value},
};

/// Longer templates are refused: the longest published ones have some 30 KiB.
const SOURCE_BYTES_MAX: usize = 1 << 20;

/// The name under which a `generation` block is called.
pub(super) const GENERATION: &str = "__generation__";

/// A template, read. Those of one text share it: there are as many as a process has models, and they live as long, since what the
/// parser gives borrows from the text and the two cannot be owned together without `unsafe`.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    template: &'static ast::Spanned<ast::Template<'static>>,
    text: &'static str,
    /// Whether it marks what the model writes, by blocks of `{% generation %}`.
    pub(crate) marks_generation: bool,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({} statements)", self.template.children.len())
    }
}

static PROGRAMS: Mutex<BTreeMap<String, Program>> = Mutex::new(BTreeMap::new());

impl Program {
    /// Reads a template's text.
    ///
    /// # Errors
    /// Where it is no Jinja, or too long.
    pub(crate) fn parse(source: &str) -> Result<Self, Fault> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(Fault::Limit("1 MiB of source"));
        }
        let mut programs = PROGRAMS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = programs.get(source) {
            return Ok(*known);
        }
        let program = Self::parse_anew(source)?;
        programs.insert(source.to_owned(), program);
        Ok(program)
    }

    fn parse_anew(source: &str) -> Result<Self, Fault> {
        // As Jinja reads it, whatever system it was written on.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let (text, marks_generation) = with_generation_as_calls(&source);
        // Nothing of a text that is no template is kept: there is no end of those.
        parse_text(&text)?;
        let text: &'static str = Box::leak(text.into_boxed_str());
        match parse_text(text)? {
            ast::Stmt::Template(template) => {
                Ok(Self { template: Box::leak(Box::new(template)), text, marks_generation })
            }
            _ => Err(Fault::Error("it is no template".to_owned())),
        }
    }

    /// What the template writes, given these variables.
    pub(crate) fn render(&self, variables: Vec<(&str, Value)>, budget: &Budget) -> Result<Written, Fault> {
        let scope = Rc::new(Scope::default());
        for (name, value) in variables {
            scope.set(name, value);
        }
        Machine::new(self.text, budget).run_program(&self.template.children, &scope)
    }
}

fn parse_text(text: &str) -> Result<ast::Stmt<'_>, Fault> {
    let whitespace = WhitespaceConfig { lstrip_blocks: true, trim_blocks: true, keep_trailing_newline: false };
    parse(text, "chat_template", SyntaxConfig, whitespace).map_err(|error| Fault::Error(error.to_string()))
}

/// `{% generation %}` marks assistant turns and is no part of Jinja; transformers reads it as a call block, and so do we.
fn with_generation_as_calls(source: &str) -> (String, bool) {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    let mut found = false;
    while let Some((before, after)) = rest.split_once("{%") {
        let Some((tag, after)) = after.split_once("%}") else { break };
        let keyword = tag.trim_matches(['-', '+']).trim();
        let stand_in = match keyword {
            "generation" => {
                found = true;
                tag.replace("generation", &format!("call {GENERATION}()"))
            }
            "endgeneration" => tag.replace("endgeneration", "endcall"),
            _ => tag.to_owned(),
        };
        result.extend([before, "{%", &stand_in, "%}"]);
        rest = after;
    }
    result.push_str(rest);
    (result, found)
}
