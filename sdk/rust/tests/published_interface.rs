//! The crate carries the interface it was made for, so that it can be copied into an author's project.

#[test]
fn carries_the_published_interface() {
    let carried = include_str!("../wit/reward.wit");
    let published = include_str!("../../wit/reward.wit");
    assert!(carried == published, "sdk/rust/wit/reward.wit differs from sdk/wit/reward.wit: copy it again");
}
