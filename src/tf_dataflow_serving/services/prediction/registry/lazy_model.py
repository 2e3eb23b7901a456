"""A SavedModel that is there to be loaded, and stays loaded once it was."""

import threading
from collections.abc import Callable
from typing import Self

from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel


class LazyModel:
    """Loads a SavedModel when it is first asked for; threads may ask at the same time."""

    def __init__(self, load: Callable[[], SavedModel]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: SavedModel | None = None

    @classmethod
    def of(cls, saved_model: SavedModel) -> Self:
        """Return one that is loaded already."""
        return cls(lambda: saved_model)

    def get(self) -> SavedModel:
        """Return the model; raises ModelUnusable."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded
