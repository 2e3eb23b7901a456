"""Births, valid and not, for the tests of the domain."""

import pytest

from tf_dataflow_serving.natality.instance import Instance


@pytest.fixture
def sample() -> Instance:
    """The sample of the original project."""
    return {
        "is_male": "True",
        "mother_age": 26.0,
        "mother_race": "Asian Indian",
        "plurality": 1.0,
        "gestation_weeks": 39,
        "mother_married": "True",
        "cigarette_use": "False",
        "alcohol_use": "False",
    }
