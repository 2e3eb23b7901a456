import subprocess
import sys


def test_without_a_local_model_tensorflow_stays_away() -> None:
    code = (
        "import sys, tf_dataflow_serving.runners.launch\n"
        "sys.exit('tensorflow was imported' if 'tensorflow' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
