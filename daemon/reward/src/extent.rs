use wasmparser::{Parser, Payload};

use crate::{Refusal, error::malformed};

/// The functions with code of their own. What the runtimes of Python and JavaScript bring stays below a third of it.
pub(crate) const FUNCTIONS_MAX: u64 = 80_000;
/// The code of one function, in bytes: compilers take more than linear time over it. An interpreter's main loop has 200 KiB.
pub(crate) const FUNCTION_BYTES_MAX: u64 = 2 << 20;
/// The types, of core modules and of components.
pub(crate) const TYPES_MAX: u64 = 40_000;
/// Imports of all its components and core modules together.
pub(crate) const IMPORTS_MAX: u64 = 40_000;
/// Exports, as the imports.
pub(crate) const EXPORTS_MAX: u64 = 80_000;
/// The globals, memories, tables and tags.
pub(crate) const GLOBALS_MAX: u64 = 80_000;
/// The segments of data and of table elements.
pub(crate) const SEGMENTS_MAX: u64 = 80_000;
/// What a component makes of others: instances, aliases, lifted and lowered functions.
pub(crate) const DEFINITIONS_MAX: u64 = 80_000;
/// The components and core modules in it.
pub(crate) const PARTS_MAX: u64 = 256;
/// How deeply components stand in each other.
pub(crate) const NESTING_MAX: u64 = 8;

/// How much there is of everything that costs time and memory to compile, over a whole file.
#[derive(Default)]
struct Extent {
    functions: u64,
    types: u64,
    imports: u64,
    exports: u64,
    globals: u64,
    segments: u64,
    definitions: u64,
    parts: u64,
    depth: u64,
}

/// Holds a file to the counts that a plugin may have. Only the heads of sections are read.
///
/// # Errors
/// The first count that is exceeded, or that the file is damaged.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let mut extent = Extent::default();
    for payload in Parser::new(0).parse_all(bytes) {
        extent.add(&payload.map_err(malformed)?)?;
    }
    Ok(())
}

impl Extent {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), Refusal> {
        match payload {
            Payload::TypeSection(section) => add(&mut self.types, section.count(), "types", TYPES_MAX),
            Payload::CoreTypeSection(section) => add(&mut self.types, section.count(), "types", TYPES_MAX),
            Payload::ComponentTypeSection(section) => add(&mut self.types, section.count(), "types", TYPES_MAX),
            Payload::ImportSection(section) => add(&mut self.imports, section.count(), "imports", IMPORTS_MAX),
            Payload::ComponentImportSection(section) => add(&mut self.imports, section.count(), "imports", IMPORTS_MAX),
            Payload::ExportSection(section) => add(&mut self.exports, section.count(), "exports", EXPORTS_MAX),
            Payload::ComponentExportSection(section) => add(&mut self.exports, section.count(), "exports", EXPORTS_MAX),
            Payload::FunctionSection(section) => add(&mut self.functions, section.count(), "functions", FUNCTIONS_MAX),
            Payload::CodeSectionStart { count, .. } => hold((*count).into(), "functions", FUNCTIONS_MAX),
            Payload::CodeSectionEntry(body) => {
                hold(body.range().len() as u64, "bytes in one function", FUNCTION_BYTES_MAX)
            }
            Payload::GlobalSection(section) => add(&mut self.globals, section.count(), "globals", GLOBALS_MAX),
            Payload::MemorySection(section) => add(&mut self.globals, section.count(), "memories", GLOBALS_MAX),
            Payload::TableSection(section) => add(&mut self.globals, section.count(), "tables", GLOBALS_MAX),
            Payload::TagSection(section) => add(&mut self.globals, section.count(), "tags", GLOBALS_MAX),
            Payload::DataSection(section) => add(&mut self.segments, section.count(), "segments", SEGMENTS_MAX),
            Payload::ElementSection(section) => add(&mut self.segments, section.count(), "segments", SEGMENTS_MAX),
            Payload::InstanceSection(section) => {
                add(&mut self.definitions, section.count(), "definitions", DEFINITIONS_MAX)
            }
            Payload::ComponentInstanceSection(section) => {
                add(&mut self.definitions, section.count(), "definitions", DEFINITIONS_MAX)
            }
            Payload::ComponentAliasSection(section) => {
                add(&mut self.definitions, section.count(), "definitions", DEFINITIONS_MAX)
            }
            Payload::ComponentCanonicalSection(section) => {
                add(&mut self.definitions, section.count(), "definitions", DEFINITIONS_MAX)
            }
            Payload::Version { .. } => {
                add(&mut self.parts, 1, "components and modules", PARTS_MAX)?;
                add(&mut self.depth, 1, "components in each other", NESTING_MAX)
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn add(sum: &mut u64, count: u32, what: &str, max: u64) -> Result<(), Refusal> {
    *sum += u64::from(count);
    hold(*sum, what, max)
}

fn hold(count: u64, what: &str, max: u64) -> Result<(), Refusal> {
    if count <= max {
        return Ok(());
    }
    Err(Refusal::TooMany { what: what.to_owned(), count, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        check(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn what_would_take_long_to_compile_is_refused_by_its_counts() {
        let many = |one: &str, count: u64| format!("(module {})", one.repeat(count as usize));
        assert!(
            refused(&many("(func)", FUNCTIONS_MAX + 1))
                .starts_with("the file has 80001 functions, more than the 80000")
        );
        assert!(refused(&many("(global i32 (i32.const 0))", GLOBALS_MAX + 1)).contains("80001 globals"));
        assert!(refused(&many("(import \"a\" \"b\" (func))", IMPORTS_MAX + 1)).contains("40001 imports"));
        let long = format!("(module (func {}))", "i32.const 0 drop ".repeat(700_000));
        assert!(refused(&long).contains("bytes in one function"));
        let nested = format!("{}{}", "(component ".repeat(9), ")".repeat(9));
        assert!(refused(&nested).contains("9 components in each other, more than the 8"));
        check(&wat::parse_str("(module (func))").unwrap()).unwrap();
    }
}
