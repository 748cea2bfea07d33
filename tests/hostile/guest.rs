//! Guests written by hand, so that they can do what no SDK would let them, and need no toolchain.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The published interface.
pub(crate) const INTERFACE: &str = include_str!("../../sdk/wit/reward.wit");

/// One declared part: name, min and max.
pub(crate) type Part<'p> = (&'p str, f64, f64);

/// A guest to be built: what it says of itself and the WASM text of its `score`.
///
/// The body of `score` leaves the address of its result on the stack. It knows `$count`, the number of samples, the
/// parameters of the flattened task, and the helpers of [`PRELUDE`].
pub(crate) struct Guest<'g> {
    pub(crate) name: &'g str,
    pub(crate) version: &'g str,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) parts: &'g [Part<'g>],
    pub(crate) schema: &'g str,
    /// The body of `score`.
    pub(crate) score: &'g str,
    /// Runs at the start of `describe`.
    pub(crate) describe: &'g str,
    /// Further items of the module: functions, globals, data.
    pub(crate) items: &'g str,
    /// Further imports of the module.
    pub(crate) imports: &'g str,
    /// The interface that the guest is built for.
    pub(crate) interface: String,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            name: "guest",
            version: "1.2.3",
            min: 0.0,
            max: 1.0,
            parts: &[],
            schema: "{}",
            score: "(call $all (local.get $count) (f64.const 0.5))",
            describe: "",
            items: "",
            imports: "",
            interface: INTERFACE.to_owned(),
        }
    }
}

/// `$alloc` gives memory, `$all` gives every sample the same reward, `$one` writes one verdict, `$ok` wraps a list.
///
/// Layouts, by the canonical ABI: a verdict has 40 bytes (0 tag, 8 reward, 16 parts, 24 reason), a part 16 (0 name, 8 value),
/// the result of `score` 16 (0 tag, 4 list or fault).
const PRELUDE: &str = r#"
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (func $alloc (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow
        (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536))))))
      unreachable)
    (local.get $at))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $alloc (local.get 3)))
  (func $ok (param $list i32) (param $length i32) (result i32)
    (local $result i32)
    (local.set $result (call $alloc (i32.const 16)))
    (i32.store8 (local.get $result) (i32.const 0))
    (i32.store offset=4 (local.get $result) (local.get $list))
    (i32.store offset=8 (local.get $result) (local.get $length))
    (local.get $result))
  (func $one (param $verdict i32) (param $reward f64)
    (memory.fill (local.get $verdict) (i32.const 0) (i32.const 40))
    (f64.store offset=8 (local.get $verdict) (local.get $reward)))
  (func $all (param $count i32) (param $reward f64) (result i32)
    (local $list i32) (local $index i32)
    (local.set $list (call $alloc (i32.mul (local.get $count) (i32.const 40))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
        (call $one (i32.add (local.get $list) (i32.mul (local.get $index) (i32.const 40))) (local.get $reward))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (call $ok (local.get $list) (local.get $count)))
"#;

/// Where the descriptor lies in memory.
const DESCRIPTOR_AT: u32 = 1024;

impl Guest<'_> {
    /// The guest as WASM text.
    pub(crate) fn text(&self) -> String {
        let log = self.log_import();
        let Self { score, describe, items, imports, .. } = self;
        let descriptor = escape(&self.descriptor());
        format!(
            r#"(module
  {log}
  {imports}
  {PRELUDE}
  {items}
  (data (i32.const {DESCRIPTOR_AT}) "{descriptor}")
  (func (export "describe") (result i32)
    {describe}
    (i32.const {DESCRIPTOR_AT}))
  (func (export "score")
    (param $config i32) (param $config_length i32) (param $prompt i32) (param $prompt_length i32)
    (param $has_reference i32) (param $reference i32) (param $reference_length i32)
    (param $labels i32) (param $labels_length i32) (param $metadata i32) (param $metadata_length i32)
    (param $samples i32) (param $count i32) (result i32)
    {score}))"#
        )
    }

    /// The guest as a core module with its component type embedded, as `wasm32-unknown-unknown` gives it.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).expect("the guest's text");
        let mut resolve = Resolve::default();
        let package = resolve.push_str("reward.wit", &self.interface).expect("the interface");
        let world = resolve.select_world(&[package], Some("reward")).expect("the world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the metadata");
        module
    }

    /// The guest as a component.
    pub(crate) fn component(&self) -> Vec<u8> {
        let encoder = wit_component::ComponentEncoder::default().module(&self.module());
        encoder.and_then(|mut encoder| encoder.encode()).expect("the component")
    }

    fn log_import(&self) -> String {
        let version = self.interface.split("perennial:reward@").nth(1).and_then(|rest| rest.split(';').next());
        let version = version.expect("the interface names its version");
        format!(r#"(import "perennial:reward/log@{version}" "emit" (func $emit (param i32 i32 i32)))"#)
    }

    /// The descriptor as the canonical ABI lays it out, with its strings behind it.
    fn descriptor(&self) -> Vec<u8> {
        const RECORD: u32 = 56;
        const PART: u32 = 32;
        let mut strings = Vec::new();
        let strings_at = DESCRIPTOR_AT + RECORD + PART * self.parts.len() as u32;
        let mut string = |text: &str| {
            let at = strings_at + strings.len() as u32;
            strings.extend_from_slice(text.as_bytes());
            [at, text.len() as u32].map(u32::to_le_bytes).concat()
        };
        let mut record = Vec::new();
        record.extend(string(self.name));
        record.extend(string(self.version));
        record.extend(string("a guest"));
        record.extend(self.min.to_le_bytes());
        record.extend(self.max.to_le_bytes());
        record.extend([DESCRIPTOR_AT + RECORD, self.parts.len() as u32].map(u32::to_le_bytes).concat());
        record.extend(string(self.schema));
        assert_eq!(record.len(), RECORD as usize);
        for (name, min, max) in self.parts {
            record.extend(string(name));
            record.extend(min.to_le_bytes());
            record.extend(max.to_le_bytes());
            record.extend(string("a part"));
        }
        record.extend(strings);
        record
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
