from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.codecs import estimate_of
from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.failures import OverQuota, Throttled, TooSlow, Transient
from tf_dataflow_serving.inference.results import NOT_FINITE
from tf_dataflow_serving.inference.transport import (
    Answer,
    Conflict,
    MissingResource,
    RequestTooLarge,
    _checked,
    _reason,
    _retry_after,
)

NOW = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        (format_datetime(NOW + timedelta(seconds=7), usegmt=True), 7.0),
        (format_datetime(NOW - timedelta(seconds=7), usegmt=True), 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("²", 0.0),
        ("9" * 400, 3600.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0.0),
        ("Thu, 02 Jan 2020 03:04:12 +99999999999999999999", 0.0),
        ("Thu, 02 Jan 2030 03:04:05 GMT", 3600.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert _retry_after({"Retry-After": value}, NOW) == seconds


_DATES = st.from_regex(
    r"(Mon, )?\d{1,20} (Jan|Feb|x) \d{1,20} \d{1,20}:\d\d:\d\d (GMT|[+-]\d{1,20})",
    fullmatch=True,
)


@given(st.text() | _DATES)
def test_any_retry_after_is_no_less_than_nothing(value):
    assert _retry_after({"Retry-After": value}, NOW) >= 0


def answer(status: int, content: bytes = b"", **headers: str) -> Answer:
    return Answer(status, headers, content)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, Transient),
        (429, OverQuota),
        (500, Transient),
        (502, Transient),
        (503, Throttled),
        (504, TooSlow),
    ],
)
def test_what_may_pass_is_transient(status, kind):
    with pytest.raises(Transient) as failure:
        _checked(answer(status))
    assert type(failure.value) is kind


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_may_be_the_instances_fault_is_rejected(status):
    with pytest.raises(PredictionRejected) as rejected:
        _checked(answer(status))
    assert not isinstance(rejected.value, EndpointRefused)


def test_a_request_that_is_too_large_says_so():
    with pytest.raises(RequestTooLarge):
        _checked(answer(413))


def test_a_failed_precondition_is_the_endpoints():
    content = b'{"error": {"code": 400, "message": "idle", "status": "FAILED_PRECONDITION"}}'
    with pytest.raises(EndpointRefused, match="HTTP 400: idle"):
        _checked(answer(400, content))


@pytest.mark.parametrize(("status", "kind"), [(404, MissingResource), (409, Conflict)])
def test_what_is_missing_or_there_already_is_told_apart(status, kind):
    with pytest.raises(kind):
        _checked(answer(status))


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"predictions": ['])
def test_what_is_no_json_may_pass(content):
    with pytest.raises(Transient, match="not JSON"):
        _checked(answer(200, content))


def test_numbers_that_json_does_not_have_are_read_all_the_same():
    content = _checked(answer(200, b'{"predictions": [[7.5], [NaN], [-Infinity]]}'))
    assert list(map(estimate_of, content["predictions"])) == [7.5, NOT_FINITE, NOT_FINITE]


@pytest.mark.parametrize("content", [b"[]", b"1", b"null"])
def test_json_that_is_no_object_refuses_the_endpoint(content):
    with pytest.raises(EndpointRefused, match="not a JSON object"):
        _checked(answer(200, content))


@pytest.mark.parametrize("status", [204, 301, 401, 403, 404, 405, 409, 501, 599])
def test_anything_else_refuses_the_endpoint(status):
    with pytest.raises(EndpointRefused, match=f"HTTP {status}"):
        _checked(answer(status))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"code": 404, "message": "no such model"}}', "HTTP 404: no such model"),
        (b'{"error": "plain"}', "HTTP 404: plain"),
        (b'{"error": {"code": 404}}', "HTTP 404: Not Found"),
        (b"<html>", "HTTP 404: Not Found"),
        (b"[]", "HTTP 404: Not Found"),
        (b"", "HTTP 404: Not Found"),
    ],
)
def test_the_reason_is_the_services_own(body, reason):
    assert _reason(answer(404, body)) == reason
