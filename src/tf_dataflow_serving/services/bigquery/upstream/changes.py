"""What a transaction over an emulator without transactions has done, and what is left to do."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from tf_dataflow_serving.services.bigquery.errors import BigQueryError
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

Step = Callable[[], object]


@dataclass
class Changes:
    """Rows change last, by one script, which the emulator runs as a whole or not at all.

    Tables are made and dropped at once, since it can't undo that: `undo` does.
    """

    _statements: list[tuple[TableRef, str]] = field(default_factory=list)
    _undo: list[Step] = field(default_factory=list)
    _leftovers: list[Step] = field(default_factory=list)

    def add(self, table: TableRef, statements: Iterable[str]) -> None:
        """Change the rows of a table in the end."""
        self._statements += [(table, statement) for statement in statements]

    def begin_with(self, table: TableRef, statements: Iterable[str]) -> None:
        """Change the rows of a table before all other changes."""
        self._statements[:0] = [(table, statement) for statement in statements]

    def discard(self, table: TableRef) -> None:
        """Leave out the changes of a table's rows: they, or it, are to go."""
        self._statements = [change for change in self._statements if change[0] != table]

    @property
    def project(self) -> str:
        """The project of the first table whose rows change; "" if none do."""
        return self._statements[0][0].project if self._statements else ""

    def script(self, *more: str) -> str:
        """All statements so far, and more."""
        return ";\n".join([*(statement for _, statement in self._statements), *more])

    def undone_by(self, step: Step) -> None:
        """Take back by `step` what was just done, if the transaction fails."""
        self._undo.append(step)

    def cleaned_up_by(self, step: Step) -> None:
        """Run `step` when the transaction is over, however it ended."""
        self._leftovers.append(step)

    def undo(self) -> None:
        """Take everything back, the last first."""
        _run_all(reversed(self._undo))

    def clean_up(self) -> None:
        """Remove what the transaction needed on its way."""
        _run_all(reversed(self._leftovers))


def _run_all(steps: Iterable[Step]) -> None:
    for step in steps:
        # What made the transaction fail is what is to be told.
        with suppress(BigQueryError):
            step()
