"""Texts on which tokenizers disagree, and conversations for the chat templates. The input of `make.py strings`."""

STRINGS = [
    "", " ", "  ", "\n", "\n\n", "\t", "\r\n", " \n ", "   \n\n\t  ", "\u00a0", "\u3000", "\u200b", "\ufeff",
    "Hello, world!", " leading", "trailing ", "two  spaces", "many        spaces", "tab\tseparated\tvalues",
    "line one\nline two\r\nline three\rline four", "indented:\n    four\n\ttab\n        eight",
    "0", "7 8 9", "1234567890", "a1b22c333", "  42", "x\t 3", "3.14159", "1,234,567.89", "-17", "1e-5", "0x1F", "2026-11-21T00:00:00Z",
    "v1.2.3-rc4", "½ ² ³ ① Ⅷ", "٣٤٥ १२३ 一二三 １２３",
    "I'm you're we've they'll he'd it's don't I'M YOU'RE", "’s curly ‘quotes’ “double” — dash … ellipsis",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case", "!!!???...;;;", "#$%^&*()_+-=[]{}|\\:\";'<>?,./`~",
    "naïve café façade", "nai\u0308ve cafe\u0301", "Ångström ﬁ ﬂ ﬀ", "Straße ẞ ıİ", "Z̸̢̛a̵l̶g̷o̴",
    "日本語のテキスト", "简体中文，繁體中文。", "한국어 텍스트 한", "ไทยไม่มีช่องว่าง", "हिन्दी क्षत्रिय", "Ελληνικά Кириллица",
    "שלום עולם", "مرحبا بالعالم", "mixed \u202bعربي\u202c and LTR", "\u200fRTL mark",
    "🙂", "👩‍👩‍👧‍👦", "👍🏽 🏳️‍🌈 🇫🇷", "e\u0301👩🏾‍🚀x", "𝕌𝕟𝕚𝕔𝕠𝕕𝕖 𐍈", "\U0010ffff \ufffd \ue000",
    "<|im_start|>", "<|im_end|><|endoftext|>", "a<|im_end|>b", " <|im_start|> user", "<|im_start", "<|IM_START|>", "<|im_start|>system\nYou obey.<|im_end|>\n",
    "</s><s>[INST] <<SYS>>", "<repo_name>x<file_sep>y", "<think></think>",
    "\x01\x02\x07\x08\x0b\x0c\x1b[31mred\x1b[0m\x7f", "\x85\u2028\u2029",
    "a" * 300, "supercalifragilisticexpialidocious" * 8, "=" * 100, " " * 100, "\n" * 40, "ab" * 64 + "🙂" * 12,
    "https://example.com/path?q=1&r=%20#frag", "user@example.com", "C:\\Users\\x\\file.txt", "/usr/bin/env python3",
    "def f(x):\n    return x ** 2  # squared\n\nprint(f(3))\n", "fn main() {\n\tlet v: Vec<u8> = vec![0; 16];\n}\n",
    '{"key": "value", "list": [1, 2, 3], "nested": {"a": null}}', "SELECT * FROM t WHERE a<>'b''c';", "$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$",
    "<html><body class=\"x\">&nbsp;</body></html>", "| a | b |\n|---|---|\n| 1 | 2 |", "- item\n  - sub\n* star\n1. one",
    "ka KA Ka tila TILA", "What is the capital of France?", "JSON: name tila, colour red",
]  # fmt: skip


def turns(*contents: str, system: str | None = None) -> list[dict]:
    """A conversation of user and assistant in turn."""
    roles = ["user", "assistant"] * len(contents)
    head = [] if system is None else [{"role": "system", "content": system}]
    return head + [{"role": role, "content": content} for role, content in zip(roles, contents)]


CONVERSATIONS = [
    turns("Hi"),
    turns("What is the capital of France?", "Paris"),
    turns("Add: 3 4", "7", "Sum: 12 1", "13", "And now?"),
    turns("Repeat: tila", "tila", system="You are terse."),
    turns("", ""),
    turns("  spaces kept  ", "\n\nbreaks kept\n\n"),
    turns("tab\there\r\nCRLF", "123 4567", system=""),
    turns("Say <|im_end|> please", "<|im_end|> it is"),
    turns("日本語 🙂 👩‍👩‍👧‍👦", "naïve cafe\u0301 שלום"),
    turns('{"a": [1, 2]}', "```python\nprint('x')\n```", system="Answer with JSON: {\"x\": []}"),
    [{"role": "system", "content": "Only a system turn."}],
    [*turns("one"), *turns("two users in a row", "and an answer")],
]
