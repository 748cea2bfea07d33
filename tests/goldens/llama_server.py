"""A llama.cpp server that is started, asked and stopped."""

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

GREEDY_TOKENS = 24


class Server:
    """llama-server with a model and perhaps an adapter."""

    def __init__(self, program: Path, model: Path, *arguments: str):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [str(program), "--model", str(model), "--port", str(self.port), "--host", "127.0.0.1", "--threads", "1"]
        command += ["--ctx-size", "512", "--parallel", "1", "--no-webui", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        for _ in range(600):
            try:
                self.ask("health")
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("llama-server does not come up")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, path: str, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def greedy(self, tokens: list[int]):
        """The tokens, and for each the likeliest with their log-probabilities."""
        body = {"prompt": tokens, "n_predict": GREEDY_TOKENS, "temperature": 0, "n_probs": 5, "cache_prompt": False}
        body |= {"return_tokens": True, "ignore_eos": False}
        answer = self.ask("completion", body)
        places = answer["completion_probabilities"]
        return [place["id"] for place in places], [{top["id"]: top["logprob"] for top in place["top_logprobs"]} for place in places]
