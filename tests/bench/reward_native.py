"""What a reward function costs where TRL calls it: in its own Python, once for a prompt's group.

    python reward_native.py PROJECT [--seconds 3]

PROJECT is a plugin in Python; its cases are asked in turn, as `perennial plugin bench` asks them in the sandbox. Prints one
line of JSON: samples a second, and nanoseconds a sample.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    sys.path[:0] = [str(options.project), str(options.project / "vendor")]

    import plugin
    from perennial_reward import Reward

    (function,) = [value for value in vars(plugin).values() if isinstance(value, Reward)]
    cases = [json.loads(path.read_text()) for path in sorted((options.project / "cases").glob("*.json"))]
    # Without its column, TRL would not call the function; the sandbox abstains.
    calls = [columns(case) for case in cases if "reference" in case]
    for call in calls:
        function(**call)

    samples, start = 0, time.perf_counter()
    for call in itertools.cycle(calls):
        samples += len(function(**call))
        seconds = time.perf_counter() - start
        if seconds >= options.seconds:
            break
    print(json.dumps({"samples_per_second": samples / seconds, "nanoseconds_per_sample": 1e9 * seconds / samples}))


def columns(case: dict) -> dict:
    """A case as TRL passes a group: every column once for each completion."""
    texts = [completion["text"] for completion in case["completions"]]
    row = {"prompts": case["prompt"], "reference": case.get("reference"), **case.get("metadata", {})}
    return {name: [value] * len(texts) for name, value in row.items()} | {"completions": texts}


if __name__ == "__main__":
    main()
