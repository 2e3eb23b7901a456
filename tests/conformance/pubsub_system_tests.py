"""Runs google-cloud-pubsub's own system tests against the emulator.

Their outcomes are the table at the end of docs/pubsub-conformance.md, which this writes anew or,
with --check, compares. Exits with 1 if a test fails or the table says otherwise.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tf_dataflow_serving.services.credentials import local_credentials
from tf_dataflow_serving.services.process import ServiceProcess

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "pubsub-conformance.md"
RELEASE = HERE / "google-cloud-pubsub.txt"
# `make install` puts its archive there.
ARCHIVES = Path(sys.prefix) / "share" / "google-cloud-pubsub"
HEADING = "## Outcomes\n"
# The tests sleep most of the time, the longest for a minute.
AT_ONCE = 6
TEST_SECONDS = 150
RUN_SECONDS = 240


class Outcome(NamedTuple):
    """How a test ended; the reason is empty unless it was skipped."""

    test: str
    ended: str
    reason: str


def main() -> int:
    """Run the tests; write the table, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the table, write nothing")
    keep = _check if parser.parse_args().check else _write
    outcomes = _outcomes()
    failed = [outcome.test for outcome in outcomes if outcome.ended == "failed"]
    return 1 if not keep(_page(outcomes)) or failed else 0


def _write(page: str) -> bool:
    PAGE.write_text(page)
    return True


def _check(page: str) -> bool:
    lines = difflib.unified_diff(
        PAGE.read_text().splitlines(), page.splitlines(), "written", "found", lineterm="", n=0
    )
    difference = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(difference)
    return not difference


def _page(outcomes: Sequence[Outcome]) -> str:
    prose = PAGE.read_text().partition(HEADING)[0]
    counts = Counter(outcome.ended for outcome in outcomes)
    total = ", ".join(f"{counts[ended]} {ended}" for ended in sorted(counts))
    rows = "".join(f"| `{one.test}` | {one.ended} | {one.reason} |\n" for one in outcomes)
    table = f"| Test | Outcome | Reason |\n| --- | --- | --- |\n{rows}"
    return f"{prose}{HEADING}\n{total.capitalize()}.\n\n{table}"


def _outcomes() -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        directory = Path(name)
        tests = _unpack(directory)
        report = directory / "report.xml"
        with _environment(directory) as environment:
            _run(tests, report, environment)
        return sorted(_read(report))


def _unpack(directory: Path) -> Path:
    archive = _archive()
    tests = directory / "system.py"
    with tarfile.open(archive) as files:
        content = files.extractfile(f"{archive.name.removesuffix('.tar.gz')}/tests/system.py")
        assert content is not None
        tests.write_bytes(content.read())
    return tests


def _archive() -> Path:
    (version,) = re.findall(r"^google-cloud-pubsub==(\S+)", RELEASE.read_text(), re.MULTILINE)
    archive = ARCHIVES / f"google_cloud_pubsub-{version}.tar.gz"
    if not archive.exists():
        sys.exit(f"{archive} is not there; make install fetches it")
    return archive


@contextmanager
def _environment(directory: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of a process whose Pub/Sub clients are on a fresh emulator."""
    clean = {name: value for name, value in os.environ.items() if "EMULATOR" not in name}
    with local_credentials(directory, "conformance") as credentials:
        emulator = ServiceProcess.start(
            "pubsub",
            "tf_dataflow_serving.services.pubsub",
            ["--port", "0"],
            directory / "pubsub.log",
            clean,
        )
        try:
            yield {
                **clean,
                "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{emulator.ports['grpc']}",
                "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
                "PYTHONPATH": str(HERE),
            }
        finally:
            emulator.stop()


def _run(tests: Path, report: Path, environment: Mapping[str, str]) -> None:
    """Run the tests, each once: what only a second try passes has failed."""
    (tests.parent / "pytest.ini").write_text("[pytest]\n")
    options = [
        *("-p", "pubsub_scope", "-p", "no:flaky", "-p", "no:cacheprovider"),
        *(f"--numprocesses={AT_ONCE}", "--dist=worksteal", f"--timeout={TEST_SECONDS}"),
        *("--quiet", f"--junit-xml={report}"),
    ]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, tests.name],
        cwd=tests.parent,
        env=dict(environment),
        timeout=RUN_SECONDS,
        check=False,
    )


def _read(report: Path) -> Iterator[Outcome]:
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own file
        ends = {child.tag: child for child in case}
        group = case.get("classname", "").partition(".")[2]
        test = "::".join(filter(None, [group, case.get("name", "")]))
        if "failure" in ends or "error" in ends:
            yield Outcome(test, "failed", "")
        elif "skipped" in ends:
            yield Outcome(test, "skipped", ends["skipped"].get("message", ""))
        else:
            yield Outcome(test, "passed", "")


if __name__ == "__main__":
    sys.exit(main())
