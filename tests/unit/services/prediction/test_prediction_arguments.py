import argparse
from pathlib import Path

import pytest

from tf_dataflow_serving.services.prediction.__main__ import _deployment
from tf_dataflow_serving.services.prediction.service import Deployment


def test_a_deployment_is_a_name_a_version_and_a_path():
    assert _deployment("m:v1=/a=b:c") == Deployment("m", "v1", Path("/a=b:c"))


@pytest.mark.parametrize("text", ["", "m", "m:v", "m=/tmp", "=/tmp", ":v=/tmp", "m:v="])
def test_refuses_what_is_no_deployment(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not NAME:VERSION=PATH"):
        _deployment(text)
