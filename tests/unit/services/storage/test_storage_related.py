"""The parser of multipart/related bodies."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage.errors import (
    ContentTooLarge,
    InvalidArgument,
    Unsupported,
)
from tf_dataflow_serving.services.storage.protocol.related import (
    MAX_HEAD_BYTES,
    RelatedParser,
    boundary_of,
)

METADATA = b'{"name": "object"}'
newlines = st.sampled_from([b"\r\n", b"\n"])
boundaries = st.text("abcXYZ019'()+_,-./:=?", min_size=1, max_size=70).map(str.encode)
# Made of what boundaries are made of, so that near misses abound.
tricky = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"--b", b"\r\n--", b"b", b"\0", b"x"])
).map(b"".join)


def body(
    content: bytes, newline: bytes, boundary: bytes, type_: bytes | None = b"text/plain"
) -> bytes:
    marker = b"--" + boundary
    second = [b"Content-Type: " + type_] if type_ else []
    lines = [marker, b"Content-Type: application/json", b"", METADATA, marker, *second, b""]
    return newline.join([*lines, content, marker + b"--", b""])


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def parse(boundary: bytes, pieces: list[bytes]) -> tuple[RelatedParser, bytes]:
    parser = RelatedParser(boundary)
    content = b"".join(parser.feed(piece) for piece in pieces)
    parser.finish()
    return parser, content


@given(st.one_of(st.binary(), tricky), newlines, boundaries, st.lists(st.integers(min_value=0)))
def test_any_content_in_any_pieces(
    content: bytes, newline: bytes, boundary: bytes, cuts: list[int]
) -> None:
    if newline + b"--" + boundary in newline + content + newline:
        return
    parser, found = parse(boundary, chunks(body(content, newline, boundary), cuts))
    assert found == content
    assert (parser.metadata, parser.content_type) == (METADATA, "text/plain")


@given(st.binary(max_size=50), newlines)
def test_byte_by_byte(content: bytes, newline: bytes) -> None:
    whole = body(content, newline, b"=====b")
    parser, found = parse(b"=====b", [bytes([byte]) for byte in whole])
    assert (found, parser.metadata) == (content, METADATA)


@given(st.binary(max_size=50), newlines, st.integers(min_value=0))
def test_a_body_that_ends_early_is_refused(content: bytes, newline: bytes, cut: int) -> None:
    whole = body(content, newline, b"boundary=====")
    end = whole.index(newline + b"--boundary=====--") + len(newline + b"--boundary=====")
    with pytest.raises(InvalidArgument):
        parse(b"boundary=====", [whole[: cut % end]])


def test_a_part_without_headers() -> None:
    raw = b"--b\r\n\r\n{}\r\n--b\r\n\r\ncontent\r\n--b--"
    parser, found = parse(b"b", [raw])
    assert (parser.metadata, parser.content_type, found) == (b"{}", None, b"content")


def test_what_follows_the_closing_boundary_is_ignored() -> None:
    pieces = [body(b"content", b"\r\n", b"b"), b"\r\n--b\r\nepilogue"]
    assert parse(b"b", pieces)[1] == b"content"


def test_another_beginning_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        RelatedParser(b"b").feed(b"--other\r\n")


def test_metadata_is_bounded() -> None:
    parser = RelatedParser(b"b")
    parser.feed(b"--b\r\n\r\n")
    with pytest.raises(ContentTooLarge):
        parser.feed(b"x" * (MAX_HEAD_BYTES + 1))


def test_an_encoded_content_is_refused_and_not_taken_as_it_is() -> None:
    raw = b"--b\r\n\r\n{}\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--"
    with pytest.raises(Unsupported, match="base64"):
        parse(b"b", [raw])


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/related; boundary=abc", b"abc"),
        ('multipart/related; boundary="a b=c"', b"a b=c"),
        ("Multipart/Related; type=x; BOUNDARY='==1=='", b"'==1=='"),
    ],
)
def test_boundaries(header: str, boundary: bytes) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.parametrize("header", ["", "text/plain; boundary=a", "multipart/related", "multipart"])
def test_no_boundary(header: str) -> None:
    with pytest.raises(InvalidArgument):
        boundary_of(header)
