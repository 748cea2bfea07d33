"""Tokens per second of llama.cpp's server, with 8 and 32 requests at once, sampled at temperature 1.

    python rollouts_llama.py LLAMA_SERVER MODEL.gguf [--adapter ADAPTER.gguf] [--new-tokens 128]

The process measured is the server, which runs as many sequences in parallel as there are requests.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import common

READY_SECONDS_MAX = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("model")
    parser.add_argument("--adapter")
    parser.add_argument("--new-tokens", type=int, default=128)
    options = parser.parse_args()

    result, peak = {}, 0
    for batch in (8, 32):
        port = free_port()
        context = str(batch * 2 * (options.new_tokens + 64))
        command = [options.server, "--model", options.model, "--host", "127.0.0.1", "--port", str(port), "--offline"]
        command += ["--threads", str(common.CORES), "--parallel", str(batch), "--ctx-size", context]
        command += ["--lora", options.adapter] if options.adapter else []
        with subprocess.Popen(command, stdout=sys.stderr) as server:
            try:
                rate = tokens_per_second(f"http://127.0.0.1:{port}", batch, options.new_tokens, server)
                result[f"tokens_per_second_{batch}"] = rate
                peak = max(peak, common.peak_memory_bytes(server.pid))
            finally:
                server.terminate()
    common.finish(**result | {"peak_memory_bytes": peak})


def tokens_per_second(url: str, batch: int, new_tokens: int, server: subprocess.Popen) -> float:
    wait_until_ready(url, server)
    with ThreadPoolExecutor(batch) as requests:
        list(requests.map(lambda _: complete(url, 4), range(batch)))
        start = time.perf_counter()
        tokens = sum(requests.map(lambda _: complete(url, new_tokens), range(batch)))
        seconds = time.perf_counter() - start
    assert tokens == batch * new_tokens, f"{tokens} tokens of {batch} x {new_tokens}"
    return tokens / seconds


def complete(url: str, new_tokens: int) -> int:
    """The number of tokens that came. The samplers are temperature and nothing else."""
    (conversation,) = common.conversations(1)
    body = {"messages": conversation, "max_tokens": new_tokens, "ignore_eos": True, "temperature": 1.0, "samplers": ["temperature"]}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)["usage"]["completion_tokens"]


def wait_until_ready(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start: {' '.join(server.args)}") from None
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    main()
