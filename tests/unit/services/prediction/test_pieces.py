import io
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.jobs.pieces import deal, pieces_of
from tf_dataflow_serving.services.prediction.objects import StoredObject

# Few letters, so that line ends come next to each other and to every cut.
contents = st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\r\n", b"\x00"]), max_size=40)
sizes = st.integers(1, 12)


def stored(content: bytes, uri: str = "gs://b/o") -> StoredObject:
    return StoredObject(uri, len(content), 1)


def lines(pieces, content: bytes) -> list[bytes]:
    return [line for piece in pieces for line in piece.lines(lambda _: opened(content))]


def opened(content: bytes):
    return nullcontext(io.BytesIO(content))


@given(contents.map(b"".join), sizes)
def test_the_lines_of_all_pieces_are_those_of_the_object(content, size):
    pieces = pieces_of(stored(content), size)
    assert lines(pieces, content) == list(io.BytesIO(content))
    assert all(piece.end - piece.start <= size for piece in pieces)


@given(contents.map(b"".join), sizes)
def test_a_piece_has_the_lines_that_begin_in_it(content, size):
    for piece in pieces_of(stored(content), size):
        starts = [0, *(i + 1 for i, byte in enumerate(content) if byte == ord("\n"))]
        begin_in_it = [i for i in starts if piece.start <= i < piece.end]
        assert lines([piece], content) == [io.BytesIO(content[i:]).readline() for i in begin_in_it]


class CountingReader(io.BytesIO):
    """Counts the bytes that are read of it."""

    read_bytes = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.read_bytes += len(line)
        return line


@given(st.integers(1, 10), st.integers(1, 60))
def test_a_line_that_is_longer_than_a_piece_is_read_twice_at_most(size, pieces):
    content = CountingReader(b"x" * size * pieces)
    cut = pieces_of(StoredObject("gs://b/o", size * pieces, 1), size)
    assert [list(piece.lines(lambda _: nullcontext(content))) for piece in cut] == [
        [content.getvalue()],
        *[[] for _ in cut[1:]],
    ]
    # A piece looks for a line end in the byte before it too.
    assert content.read_bytes <= 2 * size * pieces + len(cut)


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 9), sizes)
def test_every_piece_is_dealt_to_one_worker(lengths, workers, size):
    sources = [stored(b"x" * n, f"gs://b/{i}") for i, n in enumerate(lengths)]
    hands = deal(sources, workers, size)
    pieces = [piece for source in sources for piece in pieces_of(source, size)]
    dealt = [piece for hand in hands for piece in hand]
    assert sorted(map(repr, dealt)) == sorted(map(repr, pieces))
    assert len(hands) == max(1, min(workers, len(pieces)))
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


@pytest.mark.parametrize("size", [1, 100])
def test_a_compressed_object_is_one_piece(size):
    assert len(pieces_of(StoredObject("gs://b/o.gz", 1000, 1), size)) == 1
