"""Copies a SavedModel to gs://, where prediction services read it."""

from pathlib import Path

from google.api_core.exceptions import Conflict, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from tf_dataflow_serving.deployment.errors import DeploymentFailed

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")


def model_files(directory: Path) -> list[Path]:
    """Return the files of a SavedModel; raises DeploymentFailed if the directory has none."""
    if not any((directory / name).is_file() for name in _GRAPHS):
        raise DeploymentFailed(f"no SavedModel in {directory}: it has no saved_model.pb")
    return sorted(path for path in directory.rglob("*") if path.is_file())


def stage(project: str, directory: Path, uri: str) -> None:
    """Copy a directory's SavedModel below a gs:// URI, whose bucket is made if need be.

    Raises DeploymentFailed.
    """
    files = model_files(directory)
    name, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
    try:
        bucket = _bucket(storage.Client(project=project), name)
        for path in files:
            blob = bucket.blob("/".join(filter(None, (prefix, *path.relative_to(directory).parts))))
            blob.upload_from_filename(str(path))
    except (GoogleAPIError, GoogleAuthError, ValueError, OSError) as error:
        raise DeploymentFailed(f"the model cannot be copied to {uri}: {error}") from error


def _bucket(client: storage.Client, name: str) -> storage.Bucket:
    bucket = client.bucket(name)
    if not bucket.exists():
        try:
            client.create_bucket(name)
        except Conflict:
            # Somebody made it in between.
            return bucket
    return bucket
