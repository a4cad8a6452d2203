"""Sums up several pytest reports as the closing line that pytest itself prints for one."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(paths: list[str]) -> None:
    """Print the closing line over all JUnit reports."""
    tests = failed = errors = skipped = 0
    seconds = 0.0
    for path in map(Path, paths):
        # What failed was repeated alone: of those tests the repetition counts.
        again = path.parent / "again" / path.name
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            tests += int(suite.get("tests", 0))
            skipped += int(suite.get("skipped", 0))
            seconds += float(suite.get("time", 0.0))
        for suite in ElementTree.parse(again if again.exists() else path).getroot().iter("testsuite"):
            failed += int(suite.get("failures", 0))
            errors += int(suite.get("errors", 0))
    passed = tests - failed - errors - skipped
    counts = [(failed, "failed"), (passed, "passed"), (skipped, "skipped"), (errors, "errors")]
    text = ", ".join(f"{count} {word}" for count, word in counts if count)
    print(f"{f' {text} in {seconds:.2f}s ':=^80}")


main(sys.argv[1:])
