/// Makes a crate a plugin: exports a type that is a [`Reward`](crate::Reward) or a [`GroupReward`](crate::GroupReward)
/// through the component interface. Natively it does nothing, so that the crate can be tested and used as a library.
///
/// The crate's `Cargo.toml` needs `[lib] crate-type = ["cdylib", "rlib"]`.
#[macro_export]
macro_rules! export {
    ($reward:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Plugin = $crate::guest::Plugin<$reward>;
    $crate::guest::export_bindings!(Plugin with_types_in $crate::guest::bindings);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn is_a_reward<R: $crate::GroupReward>() {}
            is_a_reward::<$reward>();
        };
    };
}
