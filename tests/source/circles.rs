//! No two modules import each other: what both need lies below both. Else neither can be read or changed alone.

use std::fs;

use perennial_tests::repository;
use tempfile::tempdir;

use crate::imports::{circles, circles_of};

/// The folders of the workspace's crates.
fn members() -> Vec<String> {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members = members.split(',').map(|member| member.trim().trim_matches('"').to_owned());
    members.filter(|member| !member.is_empty()).collect()
}

#[test]
fn no_modules_import_each_other() {
    let of = |member: String| {
        let circles = circles_of(&repository().join(&member));
        circles.into_iter().map(move |circle| format!("{member}: {circle}"))
    };
    let found: Vec<String> = members().into_iter().flat_map(of).collect();
    assert!(found.is_empty(), "move what both need below both:\n{}", found.join("\n"));
}

/// The modules of the circles in a crate of these files.
fn circles_in(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let folder = tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    circles(&folder.path().join("lib.rs")).into_iter().map(|circle| circle.modules.into_iter().collect()).collect()
}

#[test]
fn a_circle_is_seen_however_it_is_written() {
    let root = ("lib.rs", "mod draw; mod look;");
    let to_look = ("draw.rs", "use crate::look::Look; pub struct Draw;");
    let backs = [
        "use super::draw::Draw; pub struct Look;",
        "use super::{draw::{self as d}}; pub struct Look;",
        "pub struct Look(crate::draw::Draw);",
        "pub struct Look; fn look() -> Option<Look> { match 1 { _ => { super::draw::Draw; None } } }",
        "pub struct Look; pub use crate::draw::*;",
    ];
    for back in backs {
        let found = circles_in(&[root, to_look, ("look.rs", back)]);
        assert_eq!(found, [["draw", "look"]], "{back}");
    }
}

#[test]
fn a_circle_is_seen_through_what_gives_a_name_on() {
    // `step` has `Size` from `plan` by way of their folder, and `plan` has `take` from `step` by way of a name of its own.
    let files = [
        ("lib.rs", "mod train;"),
        ("train/mod.rs", "mod plan; mod step; mod steps; pub use plan::Size;"),
        ("train/step.rs", "use super::Size; pub fn take() -> Size { Size }"),
        ("train/steps.rs", "pub use super::step;"),
        ("train/plan.rs", "use super::steps::step as one; pub struct Size; fn plan() { one::take(); }"),
    ];
    assert_eq!(circles_in(&files), [["train::plan", "train::step"]]);
}

#[test]
fn a_circle_of_three_is_one() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::a::A; use crate::d::D; pub struct C;"),
        ("d.rs", "pub struct D;"),
    ];
    assert_eq!(circles_in(&files), [["a", "b", "c"]]);
}

#[test]
fn a_folder_and_its_files_and_what_tests_import_are_no_circle() {
    let files = [
        ("lib.rs", "mod a; mod b; pub struct Root;"),
        ("a/mod.rs", "mod part; pub struct A; fn a() { part::part(); } "),
        ("a/part.rs", "use super::A; use crate::Root; pub fn part() -> A { A }"),
        ("b.rs", "use std::a::X; use crate::a::A; // crate::b\nfn b() { let a = \"crate::a\"; a.b::<A>(); }"),
        ("a/unused.rs", "use crate::b::B;"),
    ];
    assert_eq!(circles_in(&files), Vec::<Vec<String>>::new());
    let tested = (
        "a/part.rs",
        "use super::A; #[cfg(test)] mod tests { use crate::b; } #[cfg(test)] use crate::b::B; pub fn part() -> A { A }",
    );
    assert_eq!(circles_in(&[files[0], files[1], tested, files[3]]), Vec::<Vec<String>>::new());
}
