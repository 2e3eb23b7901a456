"""Runs google-cloud-pubsub's own system tests against the emulator.

Their outcomes are the table at the end of docs/pubsub-conformance.md, which this writes anew or,
with --check, compares. Exits with 1 if a test fails or the table says otherwise.
"""

import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from outcome_table import FAILED, Outcome, OutcomeTable, read_report, run_pytest

from tf_dataflow_serving.services.credentials import local_credentials
from tf_dataflow_serving.services.process import ServiceProcess

HERE = Path(__file__).parent
TABLE = OutcomeTable(HERE.parents[1] / "docs" / "pubsub-conformance.md")
RELEASE = HERE / "google-cloud-pubsub.txt"
# `make install` puts its archive there.
ARCHIVES = Path(sys.prefix) / "share" / "google-cloud-pubsub"
# The tests sleep most of the time, the longest for a minute.
AT_ONCE = 6
TEST_SECONDS = 150
RUN_SECONDS = 240


def main() -> int:
    """Run the tests; write the table, or check it."""
    failed: list[str] = []

    def outcomes() -> list[Outcome]:
        found = _outcomes()
        failed.extend(outcome.test for outcome in found if outcome.ended == FAILED)
        return found

    return 0 if TABLE.main(__doc__, outcomes) and not failed else 1


def _outcomes() -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        directory = Path(name)
        tests = _unpack(directory)
        report = directory / "report.xml"
        with _environment(directory) as environment:
            _run(tests, report, environment)
        return sorted(read_report(report, _name_of, {}))


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
    run_pytest([*options, tests.name], tests.parent, environment, RUN_SECONDS)


def _name_of(classname: str, name: str) -> str:
    return "::".join(filter(None, [classname.partition(".")[2], name]))


if __name__ == "__main__":
    sys.exit(main())
