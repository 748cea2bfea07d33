"""llama.cpp's sources: what reads GGUF files there, and what converts to them."""

import subprocess
import sys
from pathlib import Path


def read_gguf(path: Path, sources: Path):
    sys.path.insert(0, str(sources / "gguf-py"))
    from gguf import GGUFReader

    reader = GGUFReader(path)
    keys = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    return keys, {tensor.name: tensor for tensor in reader.tensors}


# The converter knows tokenizers by a hash of each published one; the tiny model's cuts words as SmolLM's does.
CONVERT = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
import conversion.base as base
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "smollm"
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def convert(script: Path, *arguments) -> None:
    command = [sys.executable, "-c", CONVERT, str(script.parent), str(script), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
