//! A plugin's file, parsed and made a component; not compiled, for that is the loader's to bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perennial_reward::{Wasi, inspect};

fuzz_target!(|bytes: &[u8]| {
    let Ok(inspection) = inspect(bytes) else { return };
    for wasi in [Wasi::Denied, Wasi::Stubbed] {
        let _ = inspection.judge(wasi);
    }
});
