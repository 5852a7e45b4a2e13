"""Run every fault, and the heavy ones at full size, and write RESULTS.md: `python -m tests.faults`.

Takes about 25 minutes on two cores; or name parts of it.  `--minutes`, `--kills` and `--requests`
make it longer, or shorter; then nothing is written.
"""

import argparse
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.killing import kill_servers
from tests.faults.soak import soak
from tests.faults.working import EVERY, REQUESTS, work

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
WORKERS = (1, 2, 4)
KILLS, MINUTES = 200, 10.0
HEAD = f"""# What happens when things go wrong

Written by `python -m tests.faults`; whatever is not as it should be raises, and nothing is written.
Real servers in processes of their own, asked over sockets; each request was answered, rightly and
with the header. Two cores, shared with the client. Python {platform.python_version()}, SQLite
{sqlite3.sqlite_version}.

"Lost" is what was answered and is neither in the database nor counted as dropped.
"""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # this is a command


def each_fault(folder: Path) -> Iterator[str]:
    """Run the tests that CI runs; tell of each fault what it came to."""
    written = folder / "faults.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", f"--junitxml={written}"]
    command += ["-o", "junit_family=xunit1"]  # which has a place for what tests tell
    subprocess.run([*command, str(HERE)], check=True, cwd=HERE.parents[1])
    yield "| fault | seconds | what it came to |\n|---|---|---|"
    for case in ElementTree.parse(written).iter("testcase"):  # noqa: S314  # pytest wrote it
        figures = {one.get("name"): one.get("value") for one in case.iter("property")}
        skipped = case.find("skipped")
        if skipped is not None:
            figures["figures"] = f"not run: {skipped.get('message')}"
        if "figures" in figures:
            name = case.get("name", "").removeprefix("test_").replace("_", " ")
            yield f"| {name} | {float(case.get('time', 0)):.1f} | {figures['figures']} |"


def kills(folder: Path, times: int) -> Iterator[str]:
    """Kill servers under load, one after the other."""
    began = time.monotonic()
    killed = kill_servers(folder / "kills", times)
    answered = sum(one.answered for one in killed)
    seconds = time.monotonic() - began
    yield f"| kill -9 under load, one database | {times} times, {seconds:.0f} s |\n|---|---|"
    yield "| databases that were corrupt | 0 |"
    yield "| runs in which rows, counters, tallies and checks disagreed | 0 |"
    yield f"| requests answered | {answered:,} |"
    lost = sum(one.lost for one in killed)
    yield f"| rows lost, each the newest of their connection: in all | {lost:,} |"
    yield f"| rows lost, the same: most in one run | {max(one.lost for one in killed):,} |"
    oldest = max(one.seconds for one in killed)
    yield f"| the oldest that was lost had been answered | {oldest:.2f} s before |"


def workers(folder: Path, requests: int) -> Iterator[str]:
    """Let more and more workers share one database."""
    yield "| workers | requests | checks | counted | seconds | requests a second |"
    yield "|---|---|---|---|---|---|"
    for number in WORKERS:
        done = work(folder / f"workers-{number}", number, requests)
        speed = done.counted / done.seconds
        yield (
            f"| {number} | {requests:,} | {done.checks} | {done.counted:,} | {done.seconds:.1f}"
            f" | {speed:,.0f} |"
        )


def soaked(folder: Path, minutes: float) -> Iterator[str]:
    """Keep a server at the machine's limit."""
    found = soak(folder / "soak", minutes)
    if not found.holds:
        raise AssertionError("\n".join(found.lines()))
    yield "```text"
    yield from found.lines()
    yield "```"


def known() -> dict[str, str]:
    """Read what was written before, by title."""
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
    return dict(re.findall(r"\n## (.+?)\n\n(.*?)(?=\n## |\Z)", text, re.DOTALL))


def main() -> None:
    titles = {
        "faults": "Each fault",
        "kills": "Killed",
        "workers": f"Workers, `check_every={EVERY}`",
        "soak": "Soak",
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(titles)}")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the soak")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="to the workers")
    options = parser.parse_args()
    if unknown := set(options.parts) - {*titles}:
        parser.error(f"there is no part {', '.join(unknown)}: they are {', '.join(titles)}")
    found = known()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {
            "faults": each_fault(folder),
            "kills": kills(folder, options.kills),
            "workers": workers(folder, options.requests),
            "soak": soaked(folder, options.minutes),
        }
        for part in options.parts or parts:
            say(titles[part])
            found[titles[part]] = ""
            for line in parts[part]:
                say(line)
                found[titles[part]] += line + "\n"
    is_full = options.minutes >= MINUTES and options.kills >= KILLS
    if is_full and options.requests >= REQUESTS:
        sections = (
            f"\n## {title}\n\n{found[title]}" for title in titles.values() if title in found
        )
        RESULTS.write_text(HEAD + "".join(sections), "utf-8")


if __name__ == "__main__":
    main()
