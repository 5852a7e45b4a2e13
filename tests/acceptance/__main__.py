"""Run every acceptance test at its full size and write RESULTS.md: `python -m tests.acceptance`.

Takes about 25 minutes on one core.  `--reduced` runs what CI runs, and writes nothing.
"""

import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy

from tests.acceptance import (
    test_accounting,
    test_boundary,
    test_creep,
    test_delay,
    test_dependence,
    test_flights,
    test_joint,
    test_kinds,
    test_null,
    test_ordered,
    test_policies,
    test_recovery,
    test_segments,
    test_text,
    test_vectors,
)
from tests.acceptance.trial import FULL, REDUCED, Finding

SUITES = (
    test_null,
    test_accounting,
    test_boundary,
    test_delay,
    test_dependence,
    test_flights,
    test_recovery,
    test_creep,
    test_ordered,
    test_policies,
    test_kinds,
    test_text,
    test_vectors,
    test_joint,
    test_segments,
)
RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = f"""# What the detector was measured to do

Written by `python -m tests.acceptance`; every seed is fixed. CI runs the same tests on fewer runs.
Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}.

The world, unless a section has its own, has fifteen columns: normal (three, one of them of tiny
scale), lognormal, exponential, t with 3 degrees of freedom, gamma, zero-inflated, negative
integers, Poisson(5), a constant, a boolean, categories of 5 levels and of 3000 (Zipf), and a
prediction. A line is one finding: the rate, mean, median or largest value over its runs (of a
median, the smallest and the largest too), and the bar it is held to. A rate has its upper 95 %
confidence limit (Clopper and Pearson): none of 20 runs still allows 14 %.
"""
TABLE = """
| finding | runs | measured | upper limit | bar | |
|---|---|---|---|---|---|
"""


def line(finding: Finding) -> str:
    spread = ""
    if finding.summary == "median":
        low, high = np.min(finding.values), np.max(finding.values)
        spread = f" ({low:g} to {high:g})"
    percent = finding.summary == "rate"
    number = f"{100 * finding.measured:.3g} %" if percent else f"{finding.measured:.4g}"
    bar = f"{100 * finding.bar:g} %" if percent else f"{finding.bar:g}"
    upper = f"{100 * finding.upper:.2g} %".replace("1e+02", "100") if percent else ""
    kept = "" if finding.holds else "**missed**"
    return (
        f"| {finding.what} | {len(finding.values)} | {finding.summary} {number}{spread}"
        f" | {upper} | {finding.sense} {bar} | {kept} |"
    )


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a command


def main() -> int:
    size = REDUCED if "--reduced" in sys.argv[1:] else FULL
    text, missed, start = HEAD, 0, time.perf_counter()
    for suite in SUITES:
        first, _, rest = suite.__doc__.partition("\n")
        text += f"\n## {first}\n{rest.rstrip()}\n{TABLE}"
        for measure in suite.MEASURES:
            for finding in measure(size):
                say(f"{finding} {'' if finding.holds else 'MISSED'}")
                missed += not finding.holds
                text += line(finding) + "\n"
        say(f"{time.perf_counter() - start:.0f} s")
    if size == FULL:
        RESULTS.write_text(text)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
