"""What Beam's BigQuery client, made with apitools, says of the boundary of its uploads."""

import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.protocol.uploads import split_related

BODY = b"""--=1==
Content-Type: application/json

{"a": 1}
--=1==
Content-Type: application/octet-stream

%s
--=1==--
"""


@pytest.mark.parametrize("media", [b"", b"one\ntwo\n"])
def test_apostrophes_around_the_boundary_are_not_part_of_it(media: bytes):
    parts = split_related("multipart/related; boundary='=1=='", BODY % media)

    assert parts == (b'{"a": 1}', media)


def test_apostrophes_that_the_body_has_too_are_part_of_it():
    body = BODY.replace(b"=1==", b"'=1=='") % b"media"

    assert split_related("multipart/related; boundary=\"'=1=='\"", body)[1] == b"media"


def test_another_boundary_than_the_headers_is_refused():
    with pytest.raises(InvalidRequest, match="two parts"):
        split_related("multipart/related; boundary='=2=='", BODY % b"media")
