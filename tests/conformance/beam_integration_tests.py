"""Runs Beam's own integration tests, those in its wheel, against the embedded services.

Their outcomes are the table at the end of docs/beam-conformance.md, which this writes anew or,
with --check, compares. Exits with 1 if a test fails that is not known to, if one that is known
to fail does not, or if the table says otherwise.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from beam_expectations import FAILING, MODULES
from outcome_table import FAILED, Outcome, OutcomeTable, read_report, run_pytest

from tf_dataflow_serving.services.stack import Stack

HERE = Path(__file__).parent
TABLE = OutcomeTable(HERE.parents[1] / "docs" / "beam-conformance.md")
PROJECT = "beam-integration-tests"
PACKAGE = Path("apache_beam") / "io" / "gcp"
AT_ONCE = 2
TEST_SECONDS = 120
RUN_SECONDS = 480


def main() -> int:
    """Run the tests; write the table, or check it."""
    surprises: list[str] = []

    def outcomes() -> list[Outcome]:
        found = _outcomes()
        surprises.extend(_surprises(found))
        sys.stdout.writelines(f"{surprise}\n" for surprise in surprises)
        return found

    return 0 if TABLE.main(__doc__, outcomes) and not surprises else 1


def _surprises(outcomes: Sequence[Outcome]) -> Iterator[str]:
    failed = {outcome.test for outcome in outcomes if outcome.ended == FAILED}
    for test in sorted(failed - FAILING.keys()):
        yield f"{test} failed"
    for test in sorted(FAILING.keys() - failed):
        yield f"{test} is known to fail, but did not"


def _outcomes() -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="conformance-") as name, Stack.start(PROJECT) as stack:
        directory = Path(name)
        report = directory / "report.xml"
        _run(directory, report, _environment(stack, directory))
        return sorted(read_report(report, _name_of, FAILING))


def _environment(stack: Stack, directory: Path) -> dict[str, str]:
    """Return the environment of a process on the services."""
    base = {**os.environ, "PYTHONPATH": str(HERE)}
    (directory / "tmp").mkdir()
    # DirectRunner would first download Prism to a directory of this name.
    (directory / ".apache_beam").touch()
    return {
        **base,
        **stack.endpoints.environment(base),
        "HOME": str(directory),
        "TMPDIR": str(directory / "tmp"),
    }


def _run(directory: Path, report: Path, environment: Mapping[str, str]) -> None:
    """Run the tests, each once: what only a second try passes has failed."""
    ini = directory / "pytest.ini"
    # Outside of a test, what a time limit raises would end the worker.
    ini.write_text("[pytest]\ntimeout_func_only = true\n")
    options = [
        *("-c", str(ini), f"--rootdir={_site()}", "-p", "beam_scope"),
        *("-p", "no:flaky", "-p", "no:cacheprovider", "-p", "no:benchmark"),
        *(f"--numprocesses={AT_ONCE}", "--dist=worksteal", f"--timeout={TEST_SECONDS}"),
        *("--quiet", "--tb=short", "--show-capture=no", "--disable-warnings"),
        f"--junit-xml={report}",
    ]
    files = [str(_site() / PACKAGE / f"{module}.py") for module in MODULES]
    run_pytest([*options, *files], directory, environment, RUN_SECONDS)


def _site() -> Path:
    """The directory that holds the installed apache_beam."""
    found = importlib.util.find_spec("apache_beam")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parents[1]


def _name_of(classname: str, name: str) -> str:
    return "::".join([*classname.split(".")[len(PACKAGE.parts) :], name])


if __name__ == "__main__":
    sys.exit(main())
