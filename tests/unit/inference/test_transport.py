from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.retry import Transient
from tf_dataflow_serving.inference.transport import _checked, _reason, _retry_after

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
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert _retry_after({"Retry-After": value}, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_no_less_than_nothing(value):
    assert _retry_after({"Retry-After": value}, NOW) >= 0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_transient(status):
    with pytest.raises(Transient):
        _checked(httpx.Response(status))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_may_be_the_instances_fault_is_rejected(status):
    with pytest.raises(PredictionRejected) as rejected:
        _checked(httpx.Response(status))
    assert not isinstance(rejected.value, EndpointRefused)


@pytest.mark.parametrize("status", [204, 301, 401, 403, 404, 405, 409, 501])
def test_anything_else_refuses_the_endpoint(status):
    with pytest.raises(EndpointRefused, match=f"HTTP {status}"):
        _checked(httpx.Response(status))


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
    assert _reason(httpx.Response(404, content=body)) == reason
