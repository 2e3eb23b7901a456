import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.protocol.uploads import parsed_job, split_related


@given(media=st.binary(), end=st.sampled_from([b"\r\n", b"\n"]))
def test_a_related_body_gives_its_parts(media: bytes, end: bytes) -> None:
    if b"--==b==" in media:
        return
    head = b"content-type: application/json; charset=UTF-8" + end + end
    body = (
        b"--==b=="
        + end
        + head
        + b'{"a": 1}'
        + end
        + b"--==b=="
        + end
        + b"content-type: */*"
        + end
        + end
        + media
        + end
        + b"--==b==--"
    )
    assert split_related('multipart/related; boundary="==b=="', body) == (b'{"a": 1}', media)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/related", b""),
        ("multipart/related; boundary=b", b"--b\r\n\r\none\r\n--b--"),
        ("multipart/related; boundary=b", b"--b\r\nno end\r\n--b\r\n\r\ntwo\r\n--b--"),
    ],
)
def test_other_bodies_are_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        split_related(content_type, body)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"configuration": {"query": {}}}', b'{"configuration": 1}']
)
def test_only_load_jobs_take_an_upload(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parsed_job(content)
