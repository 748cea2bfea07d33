"""Tokens per second of vLLM on the CPU, in-process, at 8 and 32 completions of one prompt, sampled at temperature 1.

    python rollouts_vllm.py MODEL [--adapter PEFT_FOLDER] [--new-tokens 128]
"""

import argparse
import os
import time

import common

CORES = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": CORES, "VLLM_NO_USAGE_STATS": "1"}
# The engine in this process, so that its memory is this process's.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

from vllm import LLM, SamplingParams  # noqa: E402
from vllm.lora.request import LoRARequest  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--adapter")
    parser.add_argument("--new-tokens", type=int, default=128)
    options = parser.parse_args()

    adapting = {"enable_lora": True, "max_lora_rank": 16} if options.adapter else {}
    engine = LLM(options.model, dtype="bfloat16", max_model_len=1024, max_num_seqs=32, **adapting)
    adapter = LoRARequest("adapter", 1, options.adapter) if options.adapter else None
    (conversation,) = common.conversations(1)

    def seconds(batch: int, new_tokens: int) -> float:
        sampling = SamplingParams(temperature=1.0, max_tokens=new_tokens, ignore_eos=True, detokenize=False)
        start = time.perf_counter()
        outputs = engine.chat([conversation] * batch, sampling, lora_request=adapter, use_tqdm=False)
        assert all(len(output.outputs[0].token_ids) == new_tokens for output in outputs)
        return time.perf_counter() - start

    seconds(32, 4)
    rates = {batch: batch * options.new_tokens / seconds(batch, options.new_tokens) for batch in (8, 32)}
    common.finish(**{f"tokens_per_second_{batch}": rate for batch, rate in rates.items()})


if __name__ == "__main__":
    main()
