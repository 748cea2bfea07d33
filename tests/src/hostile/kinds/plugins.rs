use super::super::{Input, Kind, random::Random};
use crate::{guest::Guest, repository};

/// Plugins that are none, or that cost more to load than they are worth.
pub(in super::super) struct Plugins;

const SHIPPED: [&str; 3] = ["length", "exact-match", "repetition"];

impl Kind for Plugins {
    fn name(&self) -> &'static str {
        "plugins"
    }

    fn input(&self, random: &mut Random) -> Input {
        let files = vec![("suspect.wasm".to_owned(), bytes(random))];
        Input::Command { files, arguments: ["plugin", "inspect", "{}/suspect.wasm"].map(str::to_owned).to_vec() }
    }
}

/// A plugin within every count that plugins are held to, and long to compile.
pub fn heavy_plugin(functions: usize) -> Vec<u8> {
    let body = "(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 7)) (local.get 0)))".repeat(40);
    let items = format!("(func (param i32) (result i32) {body} (local.get 0))").repeat(functions);
    Guest { items: &items, ..Guest::default() }.module()
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let count = random.size(1, 200_000);
    let text = match random.below(9) {
        0 => format!("(module {})", "(func)".repeat(count)),
        1 => format!("(module (func {}))", "i32.const 0 drop ".repeat(count)),
        2 => format!("(module (func {}{}))", "block ".repeat(count / 4), "end ".repeat(count / 4)),
        3 => format!("{}{}", "(component ".repeat(count % 100), ")".repeat(count % 100)),
        4 => format!("(component {})", doubling_types(random.size(2, 60))),
        6 => return heavy_plugin(random.size(10, 2000)),
        5 => format!("(module {})", "(memory 65536)".repeat(count % 50)),
        _ => {
            let name = random.pick(&SHIPPED);
            let sound = std::fs::read(repository().join(format!("plugins/{name}/{name}.wasm"))).unwrap_or_default();
            return random.damaged(&sound);
        }
    };
    // Text that is no WASM is hostile as it stands.
    wat::parse_str(&text).unwrap_or_else(|_| text.into_bytes())
}

/// Each type holds the one before it twice.
fn doubling_types(count: usize) -> String {
    let twice = |at: usize| format!("(type $t{at} (tuple $t{} $t{}))", at - 1, at - 1);
    let types: String = (1..count).map(twice).collect();
    format!("(type $t0 (tuple u8 u8)){types}(import \"f\" (func (param \"a\" $t{})))", count - 1)
}
