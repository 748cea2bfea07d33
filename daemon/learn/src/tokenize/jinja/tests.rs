//! What a template may spend. What templates compute is compared with transformers (`template/goldens.rs`).

use super::{Budget, Fault, Program, Value};

fn run(source: &str) -> Result<String, Fault> {
    let variables = vec![("long", Value::str("x".repeat(1 << 20)))];
    Program::parse(source)?.render(variables, &Budget::of_a_row()).map(|written| written.text)
}

#[test]
fn what_explodes_ends_and_names_the_bound() {
    let explosive = [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
        "{% set ns = namespace(l=[], m=[]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = \
         [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
        "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
        "{{ 'x' * 10 ** 12 }}",
        "{{ [1] * 10 ** 12 }}",
        "{{ '%1000000000000d' | format(1) }}",
        "{{ '{:>1000000000000}'.format(1) }}",
        "{{ long.replace('', long) }}",
        "{{ long.replace('x', long) }}",
        "{{ long | list | join(long) }}",
        "{{ long.join(long) }}",
        "{{ {'a': [1]} | tojson(indent=10 ** 12) }}",
        "{{ 'a\nb' | indent(10 ** 12) }}",
        "{{ 'a'.center(10 ** 12) }}{{ 'a'.zfill(10 ** 12) }}",
        "{{ [1] | batch(10 ** 12, 0) }}",
        "{{ [1] | slice(10 ** 12) }}",
        "{{ range(10 ** 12) }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    ];
    for source in explosive {
        let fault = run(source).unwrap_err();
        let is_named = matches!(&fault, Fault::Limit(_)) || fault.to_string().contains("sandbox");
        assert!(is_named, "{source}: {fault}");
    }
}

#[test]
fn nested_sources_are_refused_and_long_ones_too() {
    for source in ["{{ ".to_owned() + &"(".repeat(100_000), "{% if x %}".repeat(100_000), "x".repeat(2 << 20)] {
        assert!(Program::parse(&source).is_err());
    }
    // A long row of conditions nests no deeper.
    let row = format!("{{% if 0 %}}{}{{% else %}}end{{% endif %}}", "{% elif 0 %}".repeat(100));
    assert_eq!(run(&row), Ok("end".to_owned()));
}

#[test]
fn a_pattern_may_leave_of_a_mapping_what_it_does_not_name() {
    assert_eq!(run("{{ 'a' % {} }}{{ 'b' % [1] }}{{ '%(c)s' % {'c': 'c', 'd': 1} }}"), Ok("abc".to_owned()));
}

#[test]
fn what_is_given_is_not_changed_and_nothing_else_is_loaded() {
    for source in [
        "{{ [].append(1) }}",
        "{{ {}.update({}) }}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as x %}",
        "{{ ''.__class__.x }}",
        "{% set ns = namespace(_a=1) %}",
        "{{ nope.x }}",
        "{{ nope() }}",
        "{{ 1 | nope }}",
        "{{ 1 is nope }}",
        "{{ 'a' + 1 }}",
        "{{ '%5' % 'a' }}",
        "{{ 'a' % 'b' }}",
        "{{ '%s' | format('a', 'b') }}",
        "{{ 1 // 0 }}",
        "{{ [] | tojson(nope=1) }}",
        "{{ nope | tojson }}",
    ] {
        assert!(matches!(run(source), Err(Fault::Error(_))), "{source}: {:?}", run(source));
    }
    assert_eq!(run("{{ raise_exception('no') }}"), Err(Fault::Raised("no".to_owned())));
}
