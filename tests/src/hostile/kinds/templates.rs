use super::{
    super::{Input, Kind, random::Random},
    check_model, tiny_without,
};

/// Chat templates that explode, or do not end.
pub(in super::super) struct Templates;

const SOUND: &str = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

impl Kind for Templates {
    fn name(&self) -> &'static str {
        "templates"
    }

    fn input(&self, random: &mut Random) -> Input {
        let mut files = tiny_without(&[]);
        files.push(("model/chat_template.jinja".to_owned(), template(random)));
        check_model(files, "model")
    }
}

fn template(random: &mut Random) -> Vec<u8> {
    let count = random.size(2, 1 << 30);
    let text = match random.below(13) {
        0 => format!("{{% for a in range({count}) %}}{{% for b in range({count}) %}}x{{% endfor %}}{{% endfor %}}"),
        1 => format!("{{{{ 'x' * {count} }}}}"),
        2 => format!("{{{{ '%{count}d' | format(1) }}}}"),
        3 => format!("{{{{ messages | tojson(indent={count}) }}}}"),
        4 => "{% set ns = namespace(s='x') %}{% for a in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}".to_owned(),
        5 => "{% set ns = namespace(s='x') %}{% for a in range(64) %}{% set ns.s = ns.s.replace('x', 'xxxxxxxx') %}{% endfor %}{{ ns.s }}".to_owned(),
        6 => format!("{{{{ range({count}) | join('xxxxxxxxxxxxxxxxxxxx') }}}}"),
        7 => "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        8 => "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}".to_owned(),
        9 => format!("{{{{ {}1{} }}}}", "(".repeat(count % 100_000), ")".repeat(count % 100_000)),
        10 => "{% if x %}".repeat(count % 50_000),
        11 => format!("{{{{ [0] * {count} | list | tojson }}}}"),
        _ => return random.damaged(SOUND.as_bytes()),
    };
    text.into_bytes()
}
