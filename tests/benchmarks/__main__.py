"""Run every benchmark and write RESULTS.md: `python -m tests.benchmarks`."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HEAD = """# What it costs

Written by `python -m tests.benchmarks`: each figure beside what it is compared with, in one run.
The machine has two cores and is shared; ratios say more than microseconds.
"""


def main() -> None:
    text = HEAD
    for name in ("hot_path", "serving", "capture", "descriptors", "tally", "check"):
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=HERE.parents[1]
        )
        print(done.stdout)
        text += f"\n## `python -m tests.benchmarks.{name}`\n\n```text\n{done.stdout}```\n"
    (HERE / "RESULTS.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
