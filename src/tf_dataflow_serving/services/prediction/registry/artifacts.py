"""The SavedModels that were deployed from gs://, each in a directory of its own."""

import re
import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Artifacts:
    """Copies of models below `root`, by a name that each gets when it is fetched."""

    store: ObjectStore
    root: Path

    def fetch(self, uri: str) -> str:
        """Copy what is below a gs:// URI and return the copy's name; raises StorageFailed."""
        name = uuid.uuid4().hex
        directory = self.root / name
        directory.mkdir(parents=True)
        try:
            self.store.download_model(uri, directory)
        except BaseException:
            self.discard(name)
            raise
        return name

    def load(self, name: str) -> SavedModel:
        """Load a copy; raises ModelUnusable."""
        return SavedModel.load(self.root / name)

    def load_from(self, uri: str) -> SavedModel:
        """Load what is below a gs:// URI; raises StorageFailed, ModelUnusable."""
        name = self.fetch(uri)
        try:
            return self.load(name)
        finally:
            self.discard(name)

    def discard(self, name: str) -> None:
        """Delete a copy, if it is there; a model that is loaded goes on without it.

        What was not copied has no name: there is nothing to delete.
        """
        if name:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def discard_others(self, names: Collection[str]) -> None:
        """Delete all copies but these: what a crash has left of those under way.

        What has no name of a copy is not ours, and stays.
        """
        for directory in self.root.glob("*"):
            if _NAME.fullmatch(directory.name) and directory.name not in names:
                self.discard(directory.name)
