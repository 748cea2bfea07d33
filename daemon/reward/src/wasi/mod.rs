//! Deterministic stand-ins for what language runtimes ask of a system at start. They open nothing: no file, no socket, no
//! real clock, no real randomness.

mod answers;

use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem};

use crate::call_state::CallState;

/// The interfaces that have stand-ins, of WASI 0.2. Those of the file system know of no folder, so that no file can be
/// named; sockets and HTTP are not among them.
const STUBBED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Whether an import (`wasi:random/random@0.2.6`) has a stand-in.
pub(crate) fn is_stubbed(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    version.starts_with("0.2.") && STUBBED.contains(&interface)
}

/// Gives a linker the stand-ins for all that a component imports of WASI. What has no answer traps when it is called.
pub(crate) fn define(linker: &mut Linker<CallState>, component: &Component) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (import, item) in component.component_type().imports(&engine) {
        let Some((interface, _)) = import.split_once('@').filter(|_| is_stubbed(import)) else { continue };
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let mut linker = linker.instance(import)?;
        for (name, export) in instance.exports(&engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => define_function(&mut linker, interface, name)?,
                ComponentItem::Resource(_) => {
                    linker.resource(name, ResourceType::host_dynamic(answers::resource_type(name)), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn define_function(linker: &mut LinkerInstance<CallState>, interface: &str, name: &str) -> wasmtime::Result<()> {
    let called = format!("{interface}#{name}");
    let Some(answer) = answers::answer(interface, name) else {
        return linker.func_new(name, move |_, _, _, _| {
            Err(wasmtime::Error::msg(format!("it called {called}, and there is no such thing in the sandbox")))
        });
    };
    linker.func_new(name, move |mut store, _, parameters, results| {
        match (answer(&mut store, parameters)?, results) {
            (Some(value), [result]) => *result = value,
            (None, []) => {}
            _ => return Err(wasmtime::Error::msg(format!("{called} is declared as something else than WASI's"))),
        }
        Ok(())
    })
}
