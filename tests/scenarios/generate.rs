use perennial_tests::Fixture;

fn generate(fixture: &Fixture, arguments: &[&str]) -> String {
    let arguments = [&["generate", "--max-tokens", "24"], arguments].concat();
    fixture.program.run(&arguments).unwrap().success().unwrap()
}

#[test]
fn tiny_model_does_what_it_was_trained_for() {
    let fixture = Fixture::new().unwrap();
    assert_eq!(generate(&fixture, &["--prompt", "Shout: nubuda"]).trim(), "NUBUDA");
}

#[test]
fn the_same_seed_draws_the_same_answer() {
    let fixture = Fixture::new().unwrap();
    let draw = |seed| generate(&fixture, &["--temperature", "2", "--seed", seed, "--prompt", "Say something"]);
    assert_eq!(draw("1"), draw("1"));
    assert!(["2", "3", "4"].iter().any(|seed| draw(seed) != draw("1")), "the seed changes nothing");
}

#[test]
fn champion_of_an_empty_registry_is_the_base_model() {
    let fixture = Fixture::new().unwrap();
    let base = generate(&fixture, &["--prompt", "Repeat: boat"]);
    assert_eq!(generate(&fixture, &["--adapter", "champion", "--prompt", "Repeat: boat"]), base);
}

#[test]
fn unknown_adapter_is_a_clear_error() {
    let fixture = Fixture::new().unwrap();
    let arguments = ["generate", "--adapter", "0123456789ab", "--prompt", "x"];
    let error = fixture.program.run(&arguments).unwrap().failure().unwrap();
    assert!(error.contains("0123456789ab"), "{error}");
}
