"""A champion's way into a real vLLM and back: promoted, served, filled again after a restart, rolled back.

    python3 tests/servers/vllm_check.py --perennial target/debug/perennial --vllm target/bench/vllm/bin/vllm --model target/bench/model

`cargo xtask bench --only rollouts` makes target/bench/vllm (vLLM on the CPU, 7 GB) and target/bench/model (SmolLM2-135M-Instruct in
bf16). Needs the standard library alone. Prints a line for each thing that holds, and ends with 1 at the first that does not.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ROWS = 60
# What both round otherwise in bf16, in nats per token.
AGREEMENT_NATS = 0.02
GREEDY_TOKENS = 48
SERVER_SECONDS = 900
CYCLE_SECONDS = 1800
FOLLOW_SECONDS = 180


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perennial", type=Path, required=True)
    parser.add_argument("--vllm", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8917)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vllm-check-") as folder, contextlib.ExitStack() as stack:
        check(options, Path(folder), stack)


def check(options: argparse.Namespace, folder: Path, stack: contextlib.ExitStack) -> None:
    server = Server(options, folder)
    stack.callback(server.stop)
    server.start()
    base = server.models()[0]["id"]
    ok(f"vLLM serves {base}")

    perennial = Perennial(options, folder, server.url)
    perennial.run("check")
    stack.callback(perennial.stop)
    perennial.start()
    perennial.run("ingest", str(perennial.rows))
    wait(CYCLE_SECONDS, "the cycle ends", lambda: perennial.cycles() and perennial.cycles()[0]["outcome"])
    cycle = perennial.cycles()[0]
    assert cycle["outcome"] == "promoted", perennial.run("show", str(cycle["id"]))
    champion = perennial.champion()
    wait(FOLLOW_SECONDS, "vLLM serves the champion", lambda: f"perennial-{champion}" in server.names())
    assert "champion" in server.names(), server.names()
    ok(f"promoted {champion}: vLLM serves {', '.join(server.names())}")

    for name, adapter in ((base, "base"), (f"perennial-{champion}", "champion"), ("champion", "champion")):
        ours, theirs = perennial.nats_per_token(adapter), server.nats_per_token(name, perennial.rendered())
        assert abs(ours - theirs) <= AGREEMENT_NATS, f"{name}: {ours:.4f} nats per token here, {theirs:.4f} there"
        ok(f"{name}: {ours:.4f} nats per token here, {theirs:.4f} on vLLM")
    prompt = perennial.first_prompt()
    ours, theirs = perennial.generate(prompt), server.chat("champion", prompt)
    print(f"    here  {ours!r}\n    vLLM  {theirs!r}\n    base  {server.chat(base, prompt)!r}")
    assert ours == theirs, "the champion answers otherwise on vLLM"
    ok("the champion answers on vLLM as it does here, greedily")

    server.stop()
    server.start()
    assert server.names() == [base], server.names()
    wait(FOLLOW_SECONDS, "a restarted vLLM is filled again", lambda: f"perennial-{champion}" in server.names())
    ok("vLLM was restarted, and serves the champion again")

    perennial.stop(signal.SIGKILL)
    perennial.start()
    perennial.run("rollback")
    wait(FOLLOW_SECONDS, "vLLM follows the rollback", lambda: server.names() == [base])
    ok("killed, started and rolled back to the base model: vLLM has none of its adapters any more")
    print(perennial.run("status"))


class Server:
    """vLLM on the CPU."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.log = options, folder / "vllm.log"
        self.url = f"http://127.0.0.1:{options.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
        environment = os.environ | {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_SERVER_DEV_MODE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": cores,
            "VLLM_NO_USAGE_STATS": "1",
        }
        arguments = ["--enable-lora", "--max-lora-rank", "16", "--max-loras", "4", "--dtype", "bfloat16", "--max-model-len", "1024"]
        arguments += ["--port", str(self.options.port), "--enforce-eager", "--max-num-seqs", "8"]
        command = [str(self.options.vllm), "serve", str(self.options.model), *arguments]
        self.process = subprocess.Popen(
            command, env=environment, stdout=self.log.open("a"), stderr=subprocess.STDOUT, start_new_session=True
        )

        def is_up() -> bool:
            assert self.process and self.process.poll() is None, self.log.read_text()[-4000:]
            return answers(f"{self.url}/health")

        wait(SERVER_SECONDS, "vLLM starts", is_up)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def models(self) -> list[dict]:
        return call(f"{self.url}/v1/models")["data"]

    def names(self) -> list[str]:
        return [model["id"] for model in self.models()]

    def nats_per_token(self, model: str, texts: list[list[tuple[bool, list[int]]]]) -> float:
        nats = tokens = 0
        for stretches in texts:
            ids = [token for _, some in stretches for token in some]
            learned = [is_learned for is_learned, some in stretches for _ in some]
            body = {"model": model, "prompt": ids, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
            told = call(f"{self.url}/v1/completions", body)["choices"][0]["prompt_logprobs"]
            for token, is_learned, of_token in zip(ids, learned, told, strict=True):
                if is_learned:
                    nats -= of_token[str(token)]["logprob"]
                    tokens += 1
        return nats / tokens

    def chat(self, model: str, prompt: str) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": GREEDY_TOKENS}
        return call(f"{self.url}/v1/chat/completions", body)["choices"][0]["message"]["content"]


class Perennial:
    """The daemon and its commands."""

    def __init__(self, options: argparse.Namespace, folder: Path, server: str) -> None:
        self.program, self.folder = options.perennial.resolve(), folder
        tickets = (REPOSITORY / "config/examples/demo/data/tickets.jsonl").read_text().splitlines()
        self.rows, self.suite = folder / "rows.jsonl", folder / "suite.jsonl"
        self.rows.write_text("\n".join(tickets[:ROWS]) + "\n")
        self.suite.write_text("\n".join(tickets[ROWS : ROWS + 20]) + "\n")
        self.config = folder / "perennial.toml"
        self.config.write_text(
            f"""
[state]
dir = "{folder}/state"
[model]
base = "{options.model.resolve()}"
precision = "bf16"
[http]
listen = "unix:{folder}/perennial.sock"
[cycle]
samples_min = 40
[train]
epochs = 4
learning_rate = 4e-4
[[gate.suite]]
name = "agreement"
file = "{self.suite}"
metric = "perplexity"
target = true
[[publish]]
kind = "vllm"
url = "{server}"
alias = "champion"
pause_seconds = 1
"""
        )
        self.daemon: subprocess.Popen | None = None

    def start(self) -> None:
        log = (self.folder / "perennial.log").open("a")
        self.daemon = subprocess.Popen([self.program, "--config", self.config, "run"], stdout=log, stderr=log)
        wait(60, "the daemon starts", lambda: json.loads(self.run("status", "--json"))["activity"])

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(with_signal)
            self.daemon.wait(120)

    def run(self, *arguments: str) -> str:
        command = [self.program, "--config", self.config, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, f"perennial {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def cycles(self) -> list[dict]:
        return json.loads(self.run("cycles", "--json"))

    def champion(self) -> str:
        return json.loads(self.run("status", "--json"))["champion"]

    def nats_per_token(self, adapter: str) -> float:
        told = json.loads(self.run("evaluate", adapter, "--suite", "agreement", "--json"))
        return math.log(told["suites"][0]["scores"][0]["score"])

    def rendered(self) -> list[list[tuple[bool, list[int]]]]:
        lines = self.run("data", "render", str(self.suite), "--rows", "1000", "--json").splitlines()
        return [[(part["supervised"], part["tokens"]) for part in json.loads(line)["shown"]["stretches"]] for line in lines]

    def first_prompt(self) -> str:
        return json.loads(self.suite.read_text().splitlines()[0])["messages"][0]["content"]

    def generate(self, prompt: str) -> str:
        arguments = ["--adapter", "champion", "--prompt", prompt, "--max-tokens", str(GREEDY_TOKENS)]
        return self.run("generate", *arguments).strip()


def call(url: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait(seconds: int, what: str, holds) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(1)
    raise SystemExit(f"FAILED: {what}, within {seconds} s")


def ok(what: str) -> None:
    print(f"ok: {what}", flush=True)


if __name__ == "__main__":
    main()
