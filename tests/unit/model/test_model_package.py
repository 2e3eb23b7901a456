"""What the package offers to those who do not run the model themselves."""

import subprocess
import sys

from tf_dataflow_serving.model import SHIPPED


def test_a_model_and_its_card_are_shipped() -> None:
    assert (SHIPPED / "saved_model.pb").is_file()
    assert (SHIPPED / "MODEL_CARD.md").is_file()


def test_shipped_model_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 300_000


def test_shipped_files_name_no_path_of_the_machine_they_were_made_on() -> None:
    for path in SHIPPED.rglob("*"):
        if path.is_file():
            assert str(SHIPPED.parents[3]).encode() not in path.read_bytes()


def test_where_the_model_is_and_what_can_be_wrong_is_known_without_tensorflow() -> None:
    code = (
        "import sys, tf_dataflow_serving.model, tf_dataflow_serving.model.errors;"
        "print('tensorflow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "False"
