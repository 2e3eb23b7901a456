"""Beam's own integration tests against the embedded services."""

import pytest

TIMEOUT = 540


@pytest.mark.timeout(TIMEOUT + 30)
def test_beams_integration_tests_end_as_the_table_says(check_table):
    check_table("beam_integration_tests.py", TIMEOUT)
