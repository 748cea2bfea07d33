//! Adapter folders that never change: each is named by its bytes, written whole or not at all, and verified before it is put
//! in service.

mod error;
mod folder;

pub use error::StoreError;
pub use folder::{copy_adapter, fingerprint_files, store_adapter, verify_adapter};

/// The largest file of an adapter: each is read into memory to be fingerprinted.
const FILE_BYTES_MAX: u64 = 4 << 30;
