"""Read sessions over a warehouse in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tf_dataflow_serving.services.bigquery.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    OutOfRange,
    Unsupported,
)
from tf_dataflow_serving.services.bigquery.reads.read_sessions import (
    LIFETIME,
    Portion,
    ReadRequest,
    ReadSessions,
    Retention,
)
from tf_dataflow_serving.services.bigquery.reads.row_encoding import RowFormat
from tf_dataflow_serving.services.bigquery.types.schema import Field, arrow_schema
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

TABLE = TableRef("project", "dataset", "table")
SCHEMA = (Field("id", "INTEGER"), Field("s", "STRING"))
ASKED = ReadRequest("project", TABLE, RowFormat.ARROW)
NOW = datetime(2024, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(warehouse: Any, clock: Clock) -> ReadSessions:
    warehouse.create(TABLE, SCHEMA, {})
    fill(warehouse, 1000)
    return ReadSessions(warehouse, clock)


def fill(warehouse: Any, count: int) -> None:
    rows = {"id": list(range(count)), "s": [f"row {number}" for number in range(count)]}
    warehouse.replace(TABLE, pa.table(rows, arrow_schema(SCHEMA)))


def ids(sessions: ReadSessions, stream: str, offset: int = 0) -> list[int]:
    return list(sessions.read(stream, offset).rows["id"].to_pylist())


def test_a_session_is_named_and_expires(sessions: ReadSessions) -> None:
    session = sessions.create(ASKED)
    assert session.name.startswith("projects/project/locations/US/sessions/")
    assert session.expires == NOW + LIFETIME
    assert session.rows.num_rows == 1000


@pytest.mark.parametrize(
    ("rows", "most", "fewest", "streams"),
    [
        (1000, 0, 0, 1),
        (1000, 10, 0, 1),
        (1000, 10, 4, 4),
        (1000, 0, 4, 4),
        (1000, 0, 20, 20),
        (3, 10, 10, 3),
        (3000, 5000, 5000, 1000),
        (0, 10, 10, 0),
    ],
)
def test_streams_share_the_rows(
    sessions: ReadSessions, warehouse: Any, rows: int, most: int, fewest: int, streams: int
) -> None:
    fill(warehouse, rows)
    session = sessions.create(replace(ASKED, most_streams=most, fewest_streams=fewest))
    assert len(session.streams) == streams
    shares = [ids(sessions, stream) for stream in session.streams]
    assert [row for share in shares for row in share] == list(range(rows))
    assert all(shares)


def test_a_large_table_gets_the_streams_that_are_asked_for(
    sessions: ReadSessions, warehouse: Any
) -> None:
    fill(warehouse, 400_000)
    assert len(sessions.create(replace(ASKED, most_streams=4)).streams) == 4
    assert len(sessions.create(ASKED).streams) == 1


@pytest.mark.parametrize(("most", "fewest"), [(-1, 0), (0, -1), (2, 3)])
def test_a_contradictory_number_of_streams_is_refused(
    sessions: ReadSessions, most: int, fewest: int
) -> None:
    with pytest.raises(InvalidRequest):
        sessions.create(replace(ASKED, most_streams=most, fewest_streams=fewest))


def test_a_session_does_not_see_what_is_written_later(
    sessions: ReadSessions, warehouse: Any
) -> None:
    session = sessions.create(ASKED)
    fill(warehouse, 5)
    assert ids(sessions, session.streams[0]) == list(range(1000))
    warehouse.drop(TABLE)
    assert ids(sessions, session.streams[0]) == list(range(1000))


def test_a_stream_is_read_from_an_offset(sessions: ReadSessions) -> None:
    first, second = sessions.create(replace(ASKED, fewest_streams=2)).streams
    assert ids(sessions, first, 490) == list(range(490, 500))
    assert ids(sessions, second, 499) == [999]
    assert ids(sessions, second, 500) == []
    for offset in (501, -1):
        with pytest.raises(OutOfRange):
            sessions.read(second, offset)


def test_progress_is_that_of_the_stream(sessions: ReadSessions, warehouse: Any) -> None:
    fill(warehouse, 300_000)
    (stream,) = sessions.create(ASKED).streams
    progress = list(sessions.read(stream, 150_000).blocks())
    assert progress[0].before == 0.5
    assert progress[-1].after == 1.0
    befores, afters = [p.before for p in progress[1:]], [p.after for p in progress[:-1]]
    assert befores == afters
    assert sum(p.block.rows for p in progress) == 150_000


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "{session}",
        "{session}/streams/x",
        "{session}/streams/0-1001",
        "{session}/streams/5-5",
    ],
)
def test_a_stream_that_is_not_there(sessions: ReadSessions, name: str) -> None:
    session = sessions.create(ASKED)
    with pytest.raises(NotFound):
        sessions.read(name.format(session=session.name), 0)


class TestSplit:
    def test_the_halves_have_all_rows(self, sessions: ReadSessions) -> None:
        (stream,) = sessions.create(ASKED).streams
        halves = sessions.split(stream, 0.25)
        assert halves is not None
        primary, remainder = halves
        assert ids(sessions, primary) == list(range(250))
        assert ids(sessions, remainder) == list(range(250, 1000))
        assert ids(sessions, stream) == list(range(1000))
        again = sessions.split(remainder, 0.5)
        assert again is not None
        assert ids(sessions, again[1]) == list(range(625, 1000))

    def test_a_single_row_cannot_be_split(self, sessions: ReadSessions, warehouse: Any) -> None:
        fill(warehouse, 1)
        (stream,) = sessions.create(ASKED).streams
        assert sessions.split(stream, 0.9) is None

    @pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 2.0, float("nan")])
    def test_a_fraction_that_is_none(self, sessions: ReadSessions, fraction: float) -> None:
        (stream,) = sessions.create(ASKED).streams
        with pytest.raises(InvalidRequest):
            sessions.split(stream, fraction)


def test_a_missing_table(sessions: ReadSessions) -> None:
    with pytest.raises(NotFound, match=r"Not found: Table project:dataset\.nope"):
        sessions.create(replace(ASKED, table=TableRef("project", "dataset", "nope")))


def test_a_partition_is_read_by_a_restriction(sessions: ReadSessions) -> None:
    with pytest.raises(InvalidRequest, match="Partition decorators"):
        sessions.create(replace(ASKED, table=TableRef("project", "dataset", "table$20240101")))


def test_a_table_without_a_schema(sessions: ReadSessions, warehouse: Any) -> None:
    table = TableRef("project", "dataset", "bare")
    warehouse.create(table, (), {})
    with pytest.raises(InvalidRequest, match="does not have a schema"):
        sessions.create(replace(ASKED, table=table))


def test_a_checked_condition_reaches_the_database(sessions: ReadSessions, warehouse: Any) -> None:
    sessions.create(replace(ASKED, restriction="id>5 -- all"))
    assert warehouse.restrictions == ["id > 5"]
    with pytest.raises(InvalidRequest):
        sessions.create(replace(ASKED, restriction="id > 5; DROP TABLE t"))
    assert warehouse.restrictions == ["id > 5"]


def test_only_the_selected_columns_are_read(sessions: ReadSessions) -> None:
    assert sessions.create(replace(ASKED, columns=("S",))).rows.column_names == ["s"]


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(0, True), (0.5, True), (-0.5, True), (-60, False), (60, False)]
)
def test_only_the_present_is_kept(sessions: ReadSessions, seconds: float, accepted: bool) -> None:
    asked = replace(ASKED, snapshot=NOW + timedelta(seconds=seconds))
    if accepted:
        assert sessions.create(asked).rows.num_rows == 1000
    else:
        with pytest.raises(Unsupported, match="snapshot_time"):
            sessions.create(asked)


class TestRetention:
    def test_a_session_expires(self, sessions: ReadSessions, clock: Clock) -> None:
        (stream,) = sessions.create(ASKED).streams
        clock.now += LIFETIME - timedelta(seconds=1)
        assert ids(sessions, stream)
        clock.now += timedelta(seconds=1)
        with pytest.raises(NotFound, match="expired"):
            sessions.read(stream, 0)
        assert sessions.kept() == 0

    @pytest.mark.parametrize(
        "retention", [Retention(most_sessions=2), Retention(most_bytes=2 * 20_000)]
    )
    def test_the_one_that_was_not_read_for_longest_goes(
        self, warehouse: Any, clock: Clock, retention: Retention
    ) -> None:
        warehouse.create(TABLE, SCHEMA, {})
        fill(warehouse, 1000)
        bounded = ReadSessions(warehouse, clock, retention)
        streams = [bounded.create(ASKED).streams[0] for _ in range(2)]
        reading = bounded.read(streams[1], 0)
        assert ids(bounded, streams[0])
        streams.append(bounded.create(ASKED).streams[0])
        assert [self.is_kept(bounded, stream) for stream in streams] == [True, False, True]
        assert rows_of(reading) == 1000

    def is_kept(self, sessions: ReadSessions, stream: str) -> bool:
        try:
            return bool(ids(sessions, stream))
        except NotFound:
            return False


def rows_of(portion: Portion) -> int:
    return sum(progress.block.rows for progress in portion.blocks())


class TestChangedMeanwhile:
    """Schema and rows are read one after the other, and another thread may come in between."""

    def test_the_table_is_read_again(
        self, sessions: ReadSessions, warehouse: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.change(warehouse, monkeypatch, times=1)
        session = sessions.create(ASKED)
        assert session.rows.column_names == ["id", "s", "extra1"]

    def test_a_table_that_changes_every_time_is_given_up(
        self, sessions: ReadSessions, warehouse: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.change(warehouse, monkeypatch, times=100)
        with pytest.raises(Conflict):
            sessions.create(ASKED)

    def test_a_failure_without_a_change_is_told(
        self, sessions: ReadSessions, warehouse: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> pa.Table:
            raise InvalidRequest("no")

        monkeypatch.setattr(warehouse, "select", fail)
        with pytest.raises(InvalidRequest, match="no"):
            sessions.create(ASKED)

    def change(self, warehouse: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        original, done = warehouse.select, 0

        def select(table: TableRef, columns: Sequence[str], restriction: str) -> pa.Table:
            nonlocal done
            if done < times:
                done += 1
                extended = (*warehouse.schemas[table], Field(f"extra{done}", "STRING"))
                warehouse.drop(table)
                warehouse.create(table, extended, {})
                raise KeyError("the column that was there")
            return original(table, columns, restriction)

        monkeypatch.setattr(warehouse, "select", select)
