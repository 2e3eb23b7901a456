"""The table of outcomes at the end of a page of docs/, and the command that writes or checks it."""

import argparse
import difflib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

_HEADING = "## Outcomes\n"
_PASSED, _SKIPPED, FAILED = "passed", "skipped", "failed"
# Where pytest ran all tests, whether they passed or not.
_COMPLETE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class Outcome(NamedTuple):
    """How a test ended; the reason is empty if it passed."""

    test: str
    ended: str
    reason: str


@dataclass(frozen=True)
class OutcomeTable:
    """The page that ends in a table."""

    page: Path

    def main(self, description: str | None, outcomes: Callable[[], Sequence[Outcome]]) -> bool:
        """Write the table of the outcomes, or with --check compare it; whether it is right."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--check", action="store_true", help="compare the table, write nothing")
        keep = self._check if parser.parse_args().check else self._write
        return keep(self._text(outcomes()))

    def _write(self, text: str) -> bool:
        self.page.write_text(text)
        return True

    def _check(self, text: str) -> bool:
        lines = difflib.unified_diff(
            self.page.read_text().splitlines(),
            text.splitlines(),
            "written",
            "found",
            lineterm="",
            n=0,
        )
        difference = "".join(f"{line}\n" for line in lines)
        sys.stdout.write(difference)
        return not difference

    def _text(self, outcomes: Sequence[Outcome]) -> str:
        prose = self.page.read_text().partition(_HEADING)[0]
        counts = Counter(outcome.ended for outcome in outcomes)
        kinds = (_PASSED, _SKIPPED, FAILED)
        total = ", ".join(f"{counts[ended]} {ended}" for ended in kinds if counts[ended])
        rows = "".join(f"| `{one.test}` | {one.ended} | {one.reason} |\n" for one in outcomes)
        table = f"| Test | Outcome | Reason |\n| --- | --- | --- |\n{rows}"
        return f"{prose}{_HEADING}\n{total.capitalize()}.\n\n{table}"


def run_pytest(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], seconds: float
) -> None:
    """Run pytest to its end, in `directory`; exits with a line if it does not get there."""
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=directory,
            env=dict(environment),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"The tests did not end within {seconds:g} s: there are no outcomes")
    if run.returncode not in _COMPLETE:
        sys.exit(f"pytest ended with {run.returncode}: its report is not complete")


def read_report(
    report: Path, name_of: Callable[[str, str], str], failing: Mapping[str, str]
) -> Iterator[Outcome]:
    """The outcomes in a JUnit report; `name_of` names a test by its classname and its name."""
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own file
        ends = {child.tag: child for child in case}
        test = name_of(case.get("classname", ""), case.get("name", ""))
        if "failure" in ends or "error" in ends:
            yield Outcome(test, FAILED, failing.get(test, ""))
        elif "skipped" in ends:
            yield Outcome(test, _SKIPPED, ends["skipped"].get("message", ""))
        else:
            yield Outcome(test, _PASSED, "")
