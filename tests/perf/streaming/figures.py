"""What a stream's benchmark found, from what was published and what became visible when."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from .observer import Arrival
from .processes import ELSEWHERE
from .publish_steadily import Published

PUBLISHER = "publisher"
HELD_SECONDS = 1.0
WIDTH = 100


@dataclass(frozen=True)
class Latencies:
    """From the moment at which a message was due to its row's, in seconds."""

    p50: float
    p95: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Latencies":
        """Take the percentiles by nearest rank; all are NaN for no values."""
        ordered = sorted(values) or [math.nan]
        ranks = [math.ceil(len(ordered) * share) - 1 for share in (0.5, 0.95, 0.99, 1.0)]
        return cls(*(ordered[rank] for rank in ranks))


@dataclass(frozen=True)
class StreamFigures:
    """One rate, offered for a while.

    `backlog_seconds` are what was not visible when the last message had been taken, in seconds
    of the offered rate. `missing` never came while the benchmark waited; `doubled` are rows
    beyond the first of a message. `cores` are CPU seconds a second while messages came, by
    process and of the machine besides.
    """

    offered: float
    published: Published
    visible: int
    doubled: int
    backlog_seconds: float
    latencies: Latencies
    cores: Mapping[str, float]

    @classmethod
    def of(
        cls,
        offered: float,
        published: Published,
        arrivals: Sequence[Arrival],
        cpu_seconds: Mapping[str, float],
    ) -> "StreamFigures":
        """Compare what was published with what became visible."""
        first = first_moments(arrivals)
        rows = sum(len(arrival.rows) for arrival in arrivals)
        in_time = sum(moment <= published.ended for moment, _ in first.values())
        seconds = published.ended - published.started
        cpu = {**cpu_seconds, PUBLISHER: published.cpu_seconds}
        cpu[ELSEWHERE] -= published.cpu_seconds
        return cls(
            offered=offered,
            published=published,
            visible=len(first),
            doubled=rows - len(first),
            backlog_seconds=(published.messages - in_time) / offered,
            latencies=Latencies.of(moment - due for moment, due in first.values()),
            cores={name: used / seconds for name, used in cpu.items()},
        )

    @property
    def missing(self) -> int:
        """Messages without a row."""
        return self.published.messages - self.visible

    @property
    def publisher_held(self) -> bool:
        """Whether the rate was offered at all."""
        return self.published.latest < HELD_SECONDS

    @property
    def held(self) -> bool:
        """Whether the pipeline kept up with what was offered."""
        return self.publisher_held and self.backlog_seconds < HELD_SECONDS

    def extra_info(self) -> dict[str, object]:
        """Return the figures for a benchmark's record."""
        return {
            "offered_per_second": self.offered,
            "published_per_second": round(self._published_per_second, 1),
            "publisher_latest_ms": round(self.published.latest * 1e3, 1),
            "held": self.held,
            "backlog_seconds": round(self.backlog_seconds, 3),
            "missing": self.missing,
            "doubled": self.doubled,
            "p50_ms": round(self.latencies.p50 * 1e3, 1),
            "p95_ms": round(self.latencies.p95 * 1e3, 1),
            "p99_ms": round(self.latencies.p99 * 1e3, 1),
            "max_ms": round(self.latencies.maximum * 1e3, 1),
            "cores": {name: round(used, 3) for name, used in self.cores.items()},
        }

    @property
    def _published_per_second(self) -> float:
        return self.published.messages / (self.published.ended - self.published.started)


def first_moments(arrivals: Sequence[Arrival]) -> dict[int, tuple[float, float]]:
    """Return when each message became visible and when it was due, in seconds of the epoch."""
    first: dict[int, tuple[float, float]] = {}
    for arrival in arrivals:
        for row in arrival.rows:
            if row.source_id not in first:
                due = datetime.fromisoformat(row.source_timestamp).timestamp()
                first[row.source_id] = (arrival.moment, due)
    return first


def rate_tables(title: str, found: Sequence[StreamFigures]) -> str:
    """Return the figures as two tables: what came when, and whose CPU time it took."""
    return as_text(_latency_table(title, found)) + as_text(_cores_table(found))


def _latency_table(title: str, found: Sequence[StreamFigures]) -> Table:
    headings = ("held", "backlog s", "missing", "doubled", "p50 ms", "p95 ms", "p99 ms", "max ms")
    table = new_table(title, "offered/s", *headings)
    for one in found:
        late = one.latencies
        table.add_row(
            f"{one.offered:,.0f}",
            _held(one),
            f"{one.backlog_seconds:.2f}",
            f"{one.missing:,}",
            f"{one.doubled:,}",
            *(f"{value * 1e3:,.0f}" for value in (late.p50, late.p95, late.p99, late.maximum)),
        )
    return table


def _cores_table(found: Sequence[StreamFigures]) -> Table:
    names = list(found[0].cores)
    table = new_table("CPU seconds a second, by process", "offered/s", *names)
    for one in found:
        table.add_row(f"{one.offered:,.0f}", *(f"{one.cores[name]:.2f}" for name in names))
    return table


def _held(found: StreamFigures) -> str:
    if not found.publisher_held:
        return "not offered"
    return "yes" if found.held else "NO"


def new_table(title: str, *headings: str) -> Table:
    """Return an empty table."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def as_text(table: Table) -> str:
    """Return a table as lines."""
    out = StringIO()
    Console(file=out, width=WIDTH).print(table)
    return "\n" + "\n".join(line.rstrip() for line in out.getvalue().splitlines())
