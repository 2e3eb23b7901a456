"""The state file by which a second terminal finds the running services."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.endpoints import Endpoints
from tf_dataflow_serving.services.process import is_alive

_VARIABLE = "DATAFLOW_SERVING_STATE"


class NothingRunning(UserError):
    """No services were started by `dataflow-serving services up`."""


class AlreadyRunning(UserError):
    """Services are up already under the same state file."""


def path() -> Path:
    """Return the state file: $DATAFLOW_SERVING_STATE, or one per user in the temporary directory.

    It does not depend on HOME, which may be empty or read-only in CI.
    """
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(tempfile.gettempdir()) / f"tf-dataflow-serving-{os.getuid()}" / "services.json"


@dataclass(frozen=True)
class Recorded:
    """Services that run: where, and of which kind they are (a value of `--services`)."""

    services: str
    endpoints: Endpoints


def running() -> Recorded:
    """Return the running services; raises NothingRunning."""
    found = _read(path())
    if found is None:
        raise NothingRunning(
            "no services are running; start them with: dataflow-serving services up"
        )
    return found


@contextmanager
def recorded(running: Recorded) -> Iterator[Path]:
    """Keep the state file for as long as the services run.

    Raises AlreadyRunning if other services hold it.
    """
    file = path()
    refuse_second()
    _private_directory(file.parent)
    content = {"pid": os.getpid(), **asdict(running)}
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(content))
    temporary.replace(file)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def refuse_second() -> None:
    """Raise AlreadyRunning if services are up under the same state file."""
    if _read(path()) is not None:
        raise AlreadyRunning(f"services are running already; their state is in {path()}")


def _read(file: Path) -> Recorded | None:
    try:
        _refuse_foreign(file)
        content = json.loads(file.read_text())
        alive = is_alive(int(content["pid"]))
        found = Recorded(str(content["services"]), Endpoints(**content["endpoints"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a state file of ours; remove it: {error}") from error
    return found if alive else None


def _private_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _refuse_foreign(file: Path) -> None:
    """Refuse a file that somebody else could have put into the shared temporary directory."""
    status = file.stat()
    if status.st_uid != os.getuid() or status.st_mode & stat.S_IWOTH:
        raise UserError(f"{file} belongs to somebody else; name another one in ${_VARIABLE}")
