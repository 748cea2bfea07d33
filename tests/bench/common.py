"""What the peers' scripts share: the prompts, the threads, and the line that they print."""

import json
import os
import statistics

os.environ["HF_HUB_OFFLINE"] = "1"

# What the model is asked to tell about. daemon/learn/examples/common/mod.rs asks the same.
SUBJECTS = ["the moon", "a river", "bread", "glass", "a clock", "rain", "a bridge", "salt"]
CORES = len(os.sched_getaffinity(0))


def conversations(count: int) -> list:
    """Prompts of about 40 tokens, once a chat template is around them."""
    subjects = (SUBJECTS[index % len(SUBJECTS)] for index in range(count))
    return [[{"role": "user", "content": f"Write a long story about {subject}."}] for subject in subjects]


def median_after_first(seconds: list) -> float:
    """The first step warms up, and is not counted."""
    return statistics.median(seconds[1:])


def finish(**result) -> None:
    """Prints what was measured with the process's peak memory."""
    print(json.dumps({"peak_memory_bytes": peak_memory_bytes(), **result}), flush=True)


def peak_memory_bytes(process: str | int = "self") -> int:
    with open(f"/proc/{process}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10
