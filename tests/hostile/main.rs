//! Plugins that mean harm, or are merely broken. For each: what comes of it, what the operator reads, and that the host
//! stays as it was.

mod guest;

use guest::Guest;
use perennial_reward::*;

#[test]
fn sanity() {
    let host = Host::new(HostOptions::default()).unwrap();
    for bytes in [Guest::default().module(), Guest::default().component()] {
        println!("{:?}", inspect(&bytes).unwrap());
        let plugin = host.load_bytes(&bytes, &PluginOptions::new("p")).unwrap();
        let task = Task { samples: vec![Completion { id: "a".into(), text: "b".into() }; 3], ..Task::default() };
        let scoring = plugin.score(&task);
        println!("{scoring:?}");
        assert_eq!(scoring.outcomes.len(), 3);
        assert_eq!(scoring.outcomes[0].reward(), Some(0.5));
    }
    for p in ["/tmp/h-py/stub.wasm", "/tmp/h-py/full.wasm"] {
        let t = std::time::Instant::now();
        let bytes = std::fs::read(p).unwrap();
        println!("{:?}", inspect(&bytes).unwrap());
        let plugin = host.load_bytes(&bytes, &PluginOptions{memory_bytes_max: Some(256 << 20), ..PluginOptions::new("p")});
        println!("{p} {:?} {:?}", t.elapsed(), plugin);
        let Ok(plugin) = plugin else { continue };
        let task = Task { samples: vec![Completion { id: "a".into(), text: "b".into() }; 8], ..Task::default() };
        println!("{:?}", plugin.score(&task));
        println!("{:?}", plugin.score(&task));
    }
}
