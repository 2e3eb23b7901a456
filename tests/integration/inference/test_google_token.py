"""Authorisation by credentials whose token endpoint is on this machine, or is no more."""

from pathlib import Path

import httpx
import pytest

from tf_dataflow_serving.inference.errors import EndpointRefused
from tf_dataflow_serving.inference.failures import Transient
from tf_dataflow_serving.inference.google_token import GoogleToken
from tf_dataflow_serving.services.credentials import local_credentials

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"


def authorised(token: GoogleToken) -> httpx.Request:
    return next(token.auth_flow(httpx.Request("GET", "https://h")))


def test_requests_have_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = GoogleToken()
    with local_credentials(tmp_path, "p") as path:
        monkeypatch.setenv(VARIABLE, str(path))
        assert authorised(token).headers["Authorization"] == "Bearer local"
    assert authorised(token).headers["Authorization"] == "Bearer local"


def test_without_credentials_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing.json"))
    with pytest.raises(EndpointRefused, match=r"not authorised: .*missing\.json"):
        authorised(GoogleToken())


def test_a_token_endpoint_that_is_away_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_credentials(tmp_path, "p") as path:
        monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(Transient, match="no token"):
        authorised(GoogleToken())
