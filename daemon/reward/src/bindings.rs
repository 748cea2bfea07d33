//! What wasmtime generates from `sdk/wit/reward.wit`.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::disallowed_methods)]

wasmtime::component::bindgen!({
    path: "../../sdk/wit/reward.wit",
    world: "reward",
    ownership: Borrowing { duplicate_if_necessary: false },
});
