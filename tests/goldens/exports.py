"""Checks what `perennial export` writes with the programs that it is for.

    python exports.py [--program target/debug/perennial] [--node-modules FOLDER] [--llama-server FILE] [--llama-sources FOLDER]

PEFT and transformers always; llama.cpp through node-llama-cpp where a folder with that is given (`npm install node-llama-cpp`), its server
where that is, its converters where its sources are; mlx_lm where it is installed.
Each comparison is printed with its error; exits with 1 where one is beyond what is allowed, or nothing was compared.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from llama_server import GREEDY_TOKENS, Server
from llama_sources import convert, read_gguf
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

GOLDENS = Path(__file__).parent
BASE = GOLDENS / "tiny"
ADAPTERS = {"lora": GOLDENS / "adapter_tiny", "dora": GOLDENS / "adapter_dora_tiny"}
PROMPTS = 4
# Up to this error of logits the greedy tokens must be the same.
EXACT_MAX = 5e-3

failures: list[str] = []
compared = 0


def check(what: str, error: float, allowed: float) -> None:
    global compared
    compared += 1
    # Not `>`: an error that is no number must fail too.
    fails = not error <= allowed
    print(f"{'WRONG' if fails else 'right'}  {what}: {error:.2e}, allowed {allowed:.0e}")
    if fails:
        failures.append(what)


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max()).item()


class Exporter:
    def __init__(self, program: Path, folder: Path):
        self.program, self.folder = program, folder

    def __call__(self, adapter: Path, form: str, name: str, base: Path = BASE, dtype: str | None = None) -> Path:
        out = self.folder / name
        command = [self.program, "export", adapter, "--format", form, "--out", out, "--set", f'model.base="{base}"']
        command += ["--state", self.folder / "state"] + (["--dtype", dtype] if dtype else [])
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        return out


def prompts() -> list[list[int]]:
    listed = json.loads((GOLDENS / "logits_tiny.json").read_text(encoding="utf-8"))["prompts"]
    return [prompt["tokens"] for prompt in listed][:PROMPTS]


def logits(model, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens])).logits[0, -1].float()


def greedy(model, tokens: list[int]) -> list[int]:
    found: list[int] = []
    for _ in range(GREEDY_TOKENS):
        found.append(int(logits(model, tokens + found).argmax()))
    return found


def base(dtype: torch.dtype = torch.float32, path: Path = BASE):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()


def check_peft(export: Exporter) -> None:
    for kind, adapter in ADAPTERS.items():
        folder = export(adapter, "peft", f"peft-{kind}")
        ours, theirs = PeftModel.from_pretrained(base(), folder).eval(), PeftModel.from_pretrained(base(), adapter).eval()
        error = max(relative(logits(ours, tokens), logits(theirs, tokens)) for tokens in prompts())
        check(f"peft, {kind}: logits through PEFT", error, 0)


def check_merged_safetensors(export: Exporter) -> None:
    for kind, adapter in ADAPTERS.items():
        folder = export(adapter, "merged-safetensors", f"merged-{kind}")
        # As it is stored: the sum is rounded once to the base's bf16.
        merged = PeftModel.from_pretrained(base(torch.bfloat16), adapter, autocast_adapter_dtype=True).merge_and_unload()
        theirs, ours = merged.state_dict(), load_file(folder / "model.safetensors")
        places = ours.keys() - {"lm_head.weight"}
        differing = sum(int((ours[name] != theirs[name].to(ours[name].dtype)).sum()) for name in places)
        count = sum(ours[name].numel() for name in places)
        check(f"merged-safetensors, {kind}: share of numbers that are not merge_and_unload's", differing / count, 1e-4)
        adapted = PeftModel.from_pretrained(base(), adapter).eval()
        loaded = base(torch.float32, folder)
        error = max(relative(logits(loaded, tokens), logits(adapted, tokens)) for tokens in prompts())
        check(f"merged-safetensors, {kind}: logits, of weights rounded to bf16", error, 3e-2)
        dtypes = {str(tensor.dtype) for tensor in ours.values()}
        check(f"merged-safetensors, {kind}: types besides bf16", len(dtypes - {"torch.bfloat16"}), 0)


def check_same_gguf(what: str, ours: Path, theirs: Path, sources: Path, rename: set[str]) -> None:
    (our_keys, our_tensors), (their_keys, their_tensors) = read_gguf(ours, sources), read_gguf(theirs, sources)
    check(f"{what}: tensors that only one has", len(our_tensors.keys() ^ their_tensors.keys()), 0)
    wrong = [
        name
        for name in our_tensors.keys() & their_tensors.keys()
        if our_tensors[name].tensor_type != their_tensors[name].tensor_type
        or our_tensors[name].data.tobytes() != their_tensors[name].data.tobytes()
    ]
    check(f"{what}: tensors that differ", len(wrong), 0)
    same = lambda key: our_keys.get(key) == their_keys[key] or (
        isinstance(their_keys[key], float) and np.float32(our_keys.get(key)) == np.float32(their_keys[key])
    )
    missing = {key for key in their_keys if key not in rename and not same(key)}
    for key in sorted(missing):
        print(f"       {key}: {str(our_keys.get(key))[:80]} instead of {str(their_keys[key])[:80]}")
    check(f"{what}: keys that differ or are missing", len(missing), 0)
    print(f"       keys that only ours has: {', '.join(sorted(our_keys.keys() - their_keys.keys()))}")


# What a converter takes from a folder's name or a model card, and what it counts of it.
NAMING = {"general.name", "general.basename", "general.size_label", "general.finetune", "general.version", "general.license"}
NAMING |= {"general.base_model.count", "general.base_model.0.name", "general.base_model.0.organization", "general.organization"}
NAMING |= {"general.base_model.0.repo_url", "general.tags", "general.languages"}


def check_converters(export: Exporter, sources: Path) -> None:
    merged = export(ADAPTERS["lora"], "merged-safetensors", "for-converter")
    for dtype in ["f32", "f16", "bf16", "q8_0"]:
        theirs = export.folder / f"theirs-lora-{dtype}.gguf"
        convert(sources / "convert_lora_to_gguf.py", "--base", BASE, "--outtype", dtype, "--outfile", theirs, ADAPTERS["lora"])
        ours = export(ADAPTERS["lora"], "gguf", f"ours-lora-{dtype}.gguf", dtype=dtype)
        check_same_gguf(f"gguf, {dtype}, against convert_lora_to_gguf.py", ours, theirs, sources, NAMING)
        # Merged once in f32 and stored in the base's bf16, and from there to this type; so ours begins with that folder too.
        theirs = export.folder / f"theirs-merged-{dtype}.gguf"
        convert(sources / "convert_hf_to_gguf.py", "--outtype", dtype, "--outfile", theirs, merged)
        ours = export(fresh_adapter(export.folder), "merged-gguf", f"ours-merged-{dtype}.gguf", base=merged, dtype=dtype)
        check_same_gguf(f"merged-gguf, {dtype}, against convert_hf_to_gguf.py", ours, theirs, sources, NAMING)


def fresh_adapter(folder: Path) -> Path:
    """An adapter that changes nothing."""
    from safetensors.torch import save_file

    out = folder / "fresh"
    out.mkdir(exist_ok=True)
    tensors = load_file(ADAPTERS["lora"] / "adapter_model.safetensors")
    zeroed = {name: torch.zeros_like(tensor) if "lora_B" in name else tensor for name, tensor in tensors.items()}
    save_file(zeroed, out / "adapter_model.safetensors", metadata={"format": "pt"})
    (out / "adapter_config.json").write_bytes((ADAPTERS["lora"] / "adapter_config.json").read_bytes())
    return out


def check_server(what: str, server: Server, model) -> None:
    """Greedy tokens up to the end of the turn, and the log-probabilities of the likeliest."""
    differing, error = 0, 0.0
    for tokens in prompts():
        theirs, tops = server.greedy(tokens)
        ours = greedy(model, tokens)[: len(theirs)]
        differing += int(ours != theirs)
        for place, top in enumerate(tops):
            expected = torch.log_softmax(logits(model, tokens + theirs[:place]), -1)
            error = max(error, max(abs(expected[token].item() - logprob) for token, logprob in top.items()))
    check(f"{what}: prompts whose greedy tokens differ", differing, 0)
    check(f"{what}: log-probabilities", error, 2e-3)


def check_llama_server(export: Exporter, program: Path) -> None:
    adapted = {kind: PeftModel.from_pretrained(base(), adapter).eval() for kind, adapter in ADAPTERS.items()}
    plain = export(fresh_adapter(export.folder), "merged-gguf", "base.gguf", dtype="f32")
    lora = export(ADAPTERS["lora"], "gguf", "lora.gguf")
    with Server(program, plain, "--lora", str(lora)) as server:
        check_server("gguf: llama-server --lora against PEFT", server, adapted["lora"])
    with Server(program, plain) as server:
        check_server("the base model as GGUF: llama-server against transformers", server, base())
    for kind, adapter in ADAPTERS.items():
        merged = export(adapter, "merged-gguf", f"merged-{kind}.gguf", dtype="f32")
        with Server(program, merged) as server:
            check_server(f"merged-gguf, {kind}: llama-server against PEFT", server, adapted[kind])
    tokens = prompts()
    with Server(program, plain, "--lora-scaled", f"{lora}:0") as server:
        check_server("gguf: --lora-scaled with 0 against the base model", server, base())
        server.ask("lora-adapters", [{"id": 0, "scale": 1.0}])
        check_server("gguf: weighed by POST /lora-adapters", server, adapted["lora"])
    smaller = export(ADAPTERS["lora"], "merged-gguf", "merged-q8_0.gguf", dtype="q8_0")
    with Server(program, smaller) as server:
        same = sum(server.greedy(prompt)[0] == greedy(adapted["lora"], prompt)[: len(server.greedy(prompt)[0])] for prompt in tokens)
        print(f"       merged-gguf, q8_0: {same} of {len(tokens)} prompts have the greedy tokens of f32")


def check_node(export: Exporter, modules: Path) -> None:
    """The same as for the server, and all logits after each prompt."""
    adapted = {kind: PeftModel.from_pretrained(base(), adapter).eval() for kind, adapter in ADAPTERS.items()}
    plain = export(fresh_adapter(export.folder), "merged-gguf", "base.gguf", dtype="f32")

    def against(what: str, model: Path, lora: Path | None, theirs, tolerance: float) -> None:
        job = export.folder / "job.json"
        given = {"model": str(model), "lora": lora and str(lora), "prompts": prompts(), "greedy": GREEDY_TOKENS}
        job.write_text(json.dumps(given), encoding="utf-8")
        command = ["node", str(GOLDENS / "exports_llama.mjs"), str(modules), str(job)]
        answers = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["answers"]
        error = max(relative(torch.tensor(a["logits"]), logits(theirs, tokens)) for a, tokens in zip(answers, prompts()))
        check(f"{what}: logits", error, tolerance)
        if tolerance < EXACT_MAX:
            differing = sum(a["greedy"] != greedy(theirs, tokens) for a, tokens in zip(answers, prompts()))
            check(f"{what}: prompts whose {GREEDY_TOKENS} greedy tokens differ", differing, 0)

    against("the base model as GGUF, llama.cpp against transformers", plain, None, base(), 1e-3)
    for dtype, tolerance in [("f32", 1e-3), ("f16", 1e-2), ("bf16", 5e-2), ("q8_0", 5e-2)]:
        lora = export(ADAPTERS["lora"], "gguf", f"lora-{dtype}.gguf", dtype=dtype)
        against(f"gguf, {dtype}: llama.cpp against PEFT", plain, lora, adapted["lora"], tolerance)
    for kind, adapter in ADAPTERS.items():
        for dtype, tolerance in [("f32", 1e-3), ("f16", 1e-2), ("bf16", 5e-2), ("q8_0", 1e-1)]:
            merged = export(adapter, "merged-gguf", f"node-{kind}-{dtype}.gguf", dtype=dtype)
            against(f"merged-gguf, {kind}, {dtype}: llama.cpp against PEFT", merged, None, adapted[kind], tolerance)


def check_mlx(export: Exporter) -> None:
    import mlx.core as mx
    from mlx_lm.utils import load_model
    from mlx_lm.tuner.utils import load_adapters

    for kind, adapter in ADAPTERS.items():
        folder = export(adapter, "mlx", f"mlx-{kind}")
        model, _ = load_model(f32_base(export.folder))
        model = load_adapters(model, str(folder))
        model.eval()
        theirs = PeftModel.from_pretrained(base(), adapter).eval()
        error = 0.0
        for tokens in prompts():
            last = model(mx.array([tokens]))[0, -1].astype(mx.float32)
            error = max(error, relative(torch.tensor(last.tolist()), logits(theirs, tokens)))
        check(f"mlx, {kind}: logits through mlx_lm", error, 1e-3)


def f32_base(folder: Path) -> Path:
    out = folder / "base-f32"
    if not out.exists():
        base().save_pretrained(out)
        for name in ["tokenizer.json", "tokenizer_config.json"]:
            (out / name).write_bytes((BASE / name).read_bytes())
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=GOLDENS.parent.parent / "target/debug/perennial")
    parser.add_argument("--node-modules", type=Path, help="a folder node_modules with node-llama-cpp")
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--llama-sources", type=Path, help="with convert_lora_to_gguf.py and gguf-py/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        export = Exporter(options.program.absolute(), Path(folder))
        check_peft(export)
        check_merged_safetensors(export)
        if options.llama_sources:
            check_converters(export, options.llama_sources)
        if options.node_modules:
            check_node(export, options.node_modules)
        if options.llama_server:
            check_llama_server(export, options.llama_server)
        try:
            import mlx_lm  # noqa: F401
        except ImportError:
            print("       mlx_lm is not installed: its folder is not checked")
        else:
            check_mlx(export)
    print(f"{compared} comparisons, {len(failures)} wrong")
    return int(bool(failures) or compared == 0)


if __name__ == "__main__":
    sys.exit(main())
