"""Conditions on the present state under which a request may go on.

Source: Cloud Storage documentation, "Request preconditions".
"""

from dataclasses import dataclass
from typing import Protocol

from tf_dataflow_serving.services.storage.errors import (
    NegativePreconditionFailed,
    PreconditionFailed,
)

ABSENT_GENERATION = 0


class Versioned(Protocol):
    """What preconditions look at: a bucket or an object."""

    @property
    def generation(self) -> int: ...  # noqa: D102

    @property
    def metageneration(self) -> int: ...  # noqa: D102

    @property
    def etag(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Preconditions:
    """Each condition that is not None must hold; generation 0 stands for "no live object"."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None
    etag_match: str | None = None
    etag_not_match: str | None = None

    def check(self, current: Versioned | None) -> None:
        """Raise PreconditionFailed, or its negative kind, if `current` is not as demanded."""
        generation = current.generation if current else ABSENT_GENERATION
        metageneration = current.metageneration if current else None
        etag = current.etag if current else None
        _require_equal("ifGenerationMatch", self.generation_match, generation)
        _require_equal("ifMetagenerationMatch", self.metageneration_match, metageneration)
        _require_equal("If-Match", self.etag_match, etag)
        _require_other("ifGenerationNotMatch", self.generation_not_match, generation)
        _require_other("ifMetagenerationNotMatch", self.metageneration_not_match, metageneration)
        _require_other("If-None-Match", self.etag_not_match, etag)


UNCONDITIONAL = Preconditions()


def _require_equal(condition: str, wanted: int | str | None, actual: int | str | None) -> None:
    if wanted is not None and wanted != actual:
        raise PreconditionFailed(f"{condition}={wanted}, but it is {actual}")


def _require_other(condition: str, excluded: int | str | None, actual: int | str | None) -> None:
    if excluded is not None and excluded == actual:
        raise NegativePreconditionFailed(f"{condition}={excluded}")
