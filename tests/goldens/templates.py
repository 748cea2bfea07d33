"""Goldens of chat templates: what transformers renders, and which tokens it marks.

    python templates.py                        # our own templates → templates/expected.json (committed)
    python templates.py published [FOLDER…]    # templates that others publish → target/goldens/published.json

The published ones are TRL's, out of its wheel on PyPI, and every `*.jinja` below the folders that are named. Their text is
their makers' and is not committed. What it takes: transformers and jinja2 as requirements.txt has them, without torch.
"""

import datetime
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

HERE = Path(__file__).parent
OWN = HERE / "templates"
WORK = HERE.parents[1] / "target" / "goldens"
TRL = "trl==1.16.0"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


class StandingClock(datetime.datetime):
    """The date that Perennial shows templates."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = StandingClock


def rendered(tokenizer, source, case):
    """The texts with and without the prompt for an answer, or what the template says against the conversation."""
    texts = {}
    for name, prompt in [("text", False), ("prompt", True)]:
        given = {**case["inputs"], **case["inputs"].get("chat_template_kwargs", {})}
        given.pop("chat_template_kwargs", None)
        try:
            texts[name] = tokenizer.apply_chat_template(
                case["messages"], chat_template=source, tokenize=False, add_generation_prompt=prompt, **SPECIAL, **given
            )
        except Exception as error:
            texts[name] = None
            texts[f"{name}_error"] = f"{type(error).__name__}: {error}"[:200]
    return texts


def marks(tokenizer, source, case):
    """The tokens of a conversation and which of them the template marks as the assistant's."""
    given = {**case["inputs"], **case["inputs"].get("chat_template_kwargs", {})}
    given.pop("chat_template_kwargs", None)
    try:
        marked = tokenizer.apply_chat_template(
            case["messages"], chat_template=source, return_assistant_tokens_mask=True, return_dict=True, **SPECIAL, **given
        )
    except Exception:
        return None
    return {"tokens": marked["input_ids"], "marked": marked["assistant_masks"]}


def sanitized(tokenizer, source, case):
    """The tokens where control tokens that somebody said are text."""
    ids = tokenizer.apply_chat_template(
        case["messages"], chat_template=source, sanitize_control_tokens=True, return_dict=False, **SPECIAL
    )
    return {"tokens": ids}


def goldens(templates, conversations):
    made = AutoTokenizer.from_pretrained(HERE / "tiny")
    results = []
    for name, source in templates:
        for case in conversations:
            result = {"template": name, "case": case["name"], **rendered(made, source, case)}
            if "generation" in source and result["text"] is not None:
                result["marks"] = marks(made, source, case)
            if "control" in case["name"] and result["text"] is not None:
                result["sanitized"] = sanitized(made, source, case)
            results.append(result)
    return results


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(result, ensure_ascii=False) for result in value["results"])
    others = json.dumps({name: other for name, other in value.items() if name != "results"}, ensure_ascii=False)
    path.write_text(f'{others[:-1]}{", " if len(others) > 2 else ""}"results": [\n{lines}\n]}}\n')
    print(path)


def own():
    conversations = json.loads((OWN / "conversations.json").read_text())
    templates = [(path.stem, path.read_text()) for path in sorted(OWN.glob("*.jinja"))]
    write(OWN / "expected.json", {"results": goldens(templates, conversations)})


def published(folders):
    wheels = WORK / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, TRL], check=True)
    with zipfile.ZipFile(next(wheels.glob("trl-*.whl"))) as wheel:
        names = sorted(name for name in wheel.namelist() if name.endswith(".jinja"))
        templates = [(f"trl/{Path(name).stem}", wheel.read(name).decode()) for name in names]
    for folder in map(Path, folders):
        templates += [(str(path.relative_to(folder)), path.read_text()) for path in sorted(folder.rglob("*.jinja"))]
    conversations = json.loads((OWN / "conversations.json").read_text())
    results = goldens(templates, conversations)
    sources = dict(templates)
    write(WORK / "published.json", {"sources": sources, "results": results})


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            own()
        case ["published", *folders]:
            published(folders)
        case _:
            sys.exit(__doc__)
