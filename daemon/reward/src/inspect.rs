use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use perennial_types::Fingerprint;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};
use wit_component::ComponentEncoder;

use crate::{Inspection, Kind, Refusal, error::malformed, extent, imports};

/// Reads what a plugin's bytes say.
///
/// # Errors
/// Where they are no WASM, damaged, or a core module that is no component in disguise.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, Refusal> {
    open(bytes).map(|opened| opened.inspection)
}

/// A plugin's bytes as a component, with what they say.
pub(crate) struct Opened<'b> {
    pub(crate) inspection: Inspection,
    pub(crate) component: Cow<'b, [u8]>,
}

pub(crate) fn open(bytes: &[u8]) -> Result<Opened<'_>, Refusal> {
    let kind = if Parser::is_component(bytes) {
        Kind::Component
    } else if Parser::is_core_wasm(bytes) {
        Kind::CoreModule
    } else {
        return Err(Refusal::Malformed("it does not start as WASM does".to_owned()));
    };
    extent::check(bytes)?;
    let component = match kind {
        Kind::Component => Cow::Borrowed(bytes),
        Kind::CoreModule => Cow::Owned(encode(bytes)?),
    };
    let surface = Surface::read(&component)?;
    let interface = imports::interface_version(&surface.imports);
    let inspection = Inspection {
        kind,
        bytes: bytes.len() as u64,
        hash: Fingerprint::of(bytes),
        imports: surface.imports,
        exports: surface.exports,
        interface,
    };
    Ok(Opened { inspection, component })
}

/// The imports and exports of the outermost component.
struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Surface {
    fn read(component: &[u8]) -> Result<Self, Refusal> {
        let mut surface = Self { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        let import = import.map_err(malformed)?;
                        // The name of a type that is known already: no code stands behind it.
                        if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                            surface.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        surface.exports.push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

/// A core module names its imports too, and more plainly than the encoder would.
fn encode(module: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut has_component_type = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(malformed)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imports::judge_core(import.map_err(malformed)?.module)?;
                }
            }
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                has_component_type = true;
            }
            _ => {}
        }
    }
    if !has_component_type {
        return Err(Refusal::NotAPlugin(
            "it is a core module without a component type: build it with a plugin SDK, or make it a component with \
             wasm-tools"
                .to_owned(),
        ));
    }
    let encode = || ComponentEncoder::default().validate(true).module(module)?.encode();
    // The encoder is made for the output of compilers, and panics at some component types that no compiler writes.
    let encoded = catch_unwind(AssertUnwindSafe(encode))
        .map_err(|_| Refusal::Malformed("its component type contradicts itself".to_owned()))?;
    encoded.map_err(|error| Refusal::NotAPlugin(format!("it cannot be made a component: {error:#}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panicking(
            head in prop_oneof![Just(&b"\0asm\x01\0\0\0"[..]), Just(&b"\0asm\x0d\0\x01\0"[..]), Just(&b""[..])],
            tail in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = inspect(&[head, &tail].concat());
        }
    }
}
