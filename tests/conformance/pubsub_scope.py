"""A pytest plugin that leaves out what the emulator does not offer."""

import pytest

NO_IAM = "IAM: the emulator grants everything to everybody"
NO_REST = "REST: the emulator speaks gRPC only"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    """Skip before a test's own marks are looked at, so that every reason is one of these."""
    if "TestBasicRBAC" in item.nodeid or "_iam_policy" in item.nodeid:
        pytest.skip(NO_IAM)
    if "rest" in _parameters(item):
        pytest.skip(NO_REST)


def _parameters(item: pytest.Function) -> list[object]:
    return list(item.callspec.params.values()) if hasattr(item, "callspec") else []
