use perennial_types::{Message, Role};
use serde_json::{Value, json};

use super::*;

fn template(source: &str) -> ChatTemplate {
    let special = SpecialTokens { bos: Some("<s>".to_owned()), ..SpecialTokens::default() };
    ChatTemplate::new(Some(source), &special)
}

fn render(source: &str, messages: &[Message]) -> Result<String, EncodeError> {
    template(source).render(messages, None, true)
}

fn user(content: &str) -> Message {
    Message::new(Role::User, content)
}

fn message(fields: Value) -> Message {
    Message::from_fields(fields.as_object().unwrap().clone()).unwrap()
}

fn calling(arguments: Value) -> Message {
    message(json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}))
}

#[test]
fn blocks_are_trimmed_as_transformers_does() {
    let source =
        "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content }};\n  {% endif %}\n{% endfor %}\n";
    assert_eq!(render(source, &[user("a"), user("b")]).unwrap(), "a;\nb;\n");
}

#[test]
fn generation_tags_render_what_is_inside() {
    let source = "{% for m in messages %}\n{%- generation -%}\n {{ m.content }}\n{%- endgeneration %}\n.\n{% endfor %}";
    assert_eq!(render(source, &[user("a")]).unwrap(), "a.\n");
}

#[test]
fn the_whole_message_reaches_the_template_in_its_order_but_for_what_masks_it() {
    let fields = json!({"content": "a", "role": "developer", "weight": 0, "train": false, "x": {"y": null}});
    let written = render("{{ messages[0] | tojson }}", &[message(fields)]).unwrap();
    assert_eq!(written, r#"{"content": "a", "role": "developer", "x": {"y": null}}"#);
}

#[test]
fn thoughts_have_the_names_that_transformers_gives_them() {
    let turn = |fields| render("{{ messages[0] | tojson }}", &[message(fields)]).unwrap();
    assert_eq!(
        turn(json!({"role": "assistant", "content": "a", "reasoning": "r"})),
        r#"{"thinking": "r", "role": "assistant", "content": "a", "reasoning": "r", "reasoning_content": "r"}"#
    );
    assert_eq!(
        turn(json!({"role": "assistant", "reasoning_content": "r", "thinking": "t", "content": "a"})),
        r#"{"thinking": "t", "role": "assistant", "reasoning_content": "r", "content": "a"}"#
    );
}

#[test]
fn arguments_that_are_strings_stay_so_where_the_template_can_read_them() {
    let (text, object) = (json!(r#"{"x":[1,2.5]}"#), json!({"x": [1, 2.5]}));
    let one_call = "{{ messages[-1].tool_calls[0].function.arguments";
    // Templates with a case for strings get what the row has, as from transformers.
    let careful = format!("{one_call} if messages[-1].tool_calls[0].function.arguments is string else 'object' }}}}");
    assert_eq!(render(&careful, &[calling(text.clone())]).unwrap(), r#"{"x":[1,2.5]}"#);
    assert_eq!(render(&careful, &[calling(object.clone())]).unwrap(), "object");
    // Others would quote the string once more.
    let plain = format!("{one_call} | tojson }}}}");
    for arguments in [text, object] {
        assert_eq!(render(&plain, &[calling(arguments)]).unwrap(), r#"{"x": [1, 2.5]}"#);
    }
}

#[test]
fn parts_reach_templates_that_read_them() {
    let parts =
        message(json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}));
    let reads = "{% if messages[0].content is string %}{{ messages[0].content }}{% else %}\
                 {% for part in messages[0].content %}{{ part.text }};{% endfor %}{% endif %}";
    assert_eq!(render(reads, std::slice::from_ref(&parts)).unwrap(), "a;b;");
    assert_eq!(render("{{ messages[0].content }}", &[parts]).unwrap(), "a\nb");
}

#[test]
fn a_refusal_names_its_reason_and_a_role_that_is_refused() {
    let error = render("{{ raise_exception('roles must alternate') }}", &[user("a")]).unwrap_err();
    assert_eq!(error, EncodeError::Template("roles must alternate".to_owned()));
    let source = "{% for m in messages %}{% if m.role in ['system', 'developer'] %}{{ raise_exception('no system') }}\
                  {% endif %}{{ m.content }}{% endfor %}";
    let developer = message(json!({"role": "developer", "content": "s"}));
    let refused = EncodeError::RoleRefused { role: "developer".to_owned(), reason: "no system".to_owned() };
    assert_eq!(render(source, &[developer, user("a")]), Err(refused));
    assert!(template(source).objection_to(Role::System).is_some());
    assert_eq!(template(source).objection_to(Role::Tool), None);
}

#[test]
fn absent_and_broken_templates_are_the_models_fault() {
    let absent = ChatTemplate::new(None, &SpecialTokens::default());
    assert_eq!(absent.render(&[user("a")], None, false), Err(EncodeError::NoChatTemplate));
    let error = render("{% if %}", &[user("a")]).unwrap_err();
    assert!(error.is_of_the_model() && matches!(error, EncodeError::BrokenTemplate(_)), "{error}");
}

#[test]
fn variables_of_a_templates_own_are_given() {
    let inputs: TemplateInputs =
        serde_json::from_value(json!({"documents": [{"text": "d"}], "chat_template_kwargs": {"thinking": true}}))
            .unwrap();
    let source = "{{ bos_token }}{{ eos_token }}{{ thinking }} {{ documents[0].text }} {{ tools is none }}";
    let conversation = template(source).conversation(&[user("q")], &inputs, None).unwrap();
    assert_eq!(conversation.render(1, false).unwrap().text, "<s>True d True");
}
