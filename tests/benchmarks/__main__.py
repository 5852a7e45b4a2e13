"""Run every benchmark and write RESULTS.md: `python -m tests.benchmarks`; or some, by name."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
NAMES = ("hot_path", "serving", "capture", "descriptors", "tally", "check", "page")
HEAD = """# What it costs

Written by `python -m tests.benchmarks`: each figure beside what it is compared with, in one run.
The machine has two cores and is shared; ratios say more than microseconds.
"""
SECTION = "\n## `python -m tests.benchmarks.{}`\n\n```text\n{}```\n"


def known() -> dict[str, str]:
    """Read what was measured before, by name."""
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
    return dict(re.findall(re.escape(SECTION).replace(r"\{\}", "(.*?)"), text, re.DOTALL))


def measure(name: str) -> str:
    """Run one and show what it says as it says it: some take many minutes."""
    command = [sys.executable, "-u", "-m", f"tests.benchmarks.{name}"]
    said = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=HERE.parents[1]
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
    if process.returncode:
        sys.exit(f"{name} ended with {process.returncode}: nothing was written.")
    return "".join(said)


def main() -> None:
    wanted = sys.argv[1:] or NAMES
    unknown = set(wanted) - {*NAMES}
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}: they are {', '.join(NAMES)}.")
    found = known() | {name: measure(name) for name in wanted}
    sections = (SECTION.format(name, found[name]) for name in NAMES if name in found)
    RESULTS.write_text(HEAD + "".join(sections), "utf-8")


if __name__ == "__main__":
    main()
