"""The system tests of Google's client against the emulator."""

import pytest

TIMEOUT = 300


@pytest.mark.timeout(TIMEOUT + 30)
def test_googles_system_tests_end_as_the_table_says(check_table):
    check_table("pubsub_system_tests.py", TIMEOUT)
