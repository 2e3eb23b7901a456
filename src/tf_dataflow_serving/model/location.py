"""Where a model's directory is, and how it gets to where TensorFlow can read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tf_dataflow_serving.model.errors import ModelNotFound

_SCHEME = "gs://"
_TIMEOUT_SECONDS = 60.0


@contextmanager
def local_copy(model_dir: str) -> Iterator[Path]:
    """Yield a local directory that holds the model: itself, or a passing copy of gs://...

    TensorFlow reads gs:// by a client of its own, which knows no other place than Google's; the
    storage client honours STORAGE_EMULATOR_HOST. Raises ModelNotFound if nothing is there.
    """
    if model_dir.startswith(_SCHEME):
        with TemporaryDirectory(prefix="model-") as directory:
            _download(model_dir, Path(directory))
            yield Path(directory)
    elif Path(model_dir).is_dir():
        yield Path(model_dir)
    else:
        raise ModelNotFound(f"no such model directory: {model_dir}")


def _download(location: str, directory: Path) -> None:
    prefix, blobs = _list_objects(location)
    for blob in blobs:
        target = (directory / blob.name.removeprefix(prefix)).resolve()
        if not target.is_relative_to(directory.resolve()):
            raise ModelNotFound(f"object name leaves the model's directory: {blob.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(target), timeout=_TIMEOUT_SECONDS)


def _list_objects(location: str) -> tuple[str, list[Any]]:
    """Return the prefix that the names of the objects share, and the objects below it."""
    from google.api_core.exceptions import NotFound  # noqa: PLC0415 - 0.3 s, rarely needed
    from google.cloud import storage  # noqa: PLC0415 - likewise

    bucket, _, path = location.removeprefix(_SCHEME).partition("/")
    prefix = f"{path.strip('/')}/".lstrip("/")
    try:
        found = storage.Client().list_blobs(bucket, prefix=prefix, timeout=_TIMEOUT_SECONDS)
        # A name with a slash at its end stands for a folder.
        blobs = [blob for blob in found if not blob.name.endswith("/")]
    except NotFound as error:
        raise ModelNotFound(f"no such bucket: {_SCHEME}{bucket}") from error
    if not blobs:
        raise ModelNotFound(f"no such model directory: {location}")
    return prefix, blobs
