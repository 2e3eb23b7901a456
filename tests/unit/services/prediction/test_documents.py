import asyncio
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.documents import Documents, DocumentsInUse
from tf_dataflow_serving.services.prediction.service import DataDirectoryUnusable, open_service

WAIT_SECONDS = 60
PUT_AND_CRASH = """
import os, pathlib, signal, sys
from tf_dataflow_serving.services.prediction.documents import Documents
documents = Documents.in_file(pathlib.Path(sys.argv[1]))
documents.put("jobs", "1", {"state": "RUNNING"})
os.kill(os.getpid(), signal.SIGKILL)
"""

kinds = st.sampled_from(["models", "jobs"])
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
values = st.dictionaries(st.text("ab"), st.integers(-(2**53), 2**53) | st.booleans())
steps = st.lists(st.tuples(kinds, keys, values | st.none()))


@given(steps)
def test_what_was_put_last_is_there_until_it_is_deleted(written):
    kept: dict[str, dict[str, object]] = {"models": {}, "jobs": {}}
    with closing(Documents.in_memory()) as documents:
        for kind, key, value in written:
            if value is None:
                documents.delete(kind, key)
                kept[kind].pop(key, None)
            else:
                documents.put(kind, key, value)
                kept[kind][key] = value
        assert {kind: documents.all(kind) for kind in kept} == kept


def test_what_one_process_put_the_next_one_has(tmp_path):
    command = [sys.executable, "-c", PUT_AND_CRASH, tmp_path / "d"]
    crashed = subprocess.run(command, timeout=WAIT_SECONDS, check=False)
    assert crashed.returncode == -signal.SIGKILL
    with closing(Documents.in_file(tmp_path / "d")) as documents:
        assert documents.all("jobs") == {"1": {"state": "RUNNING"}}


def test_only_one_has_the_file_at_a_time(tmp_path):
    with closing(Documents.in_file(tmp_path / "d")) as documents:
        with pytest.raises(DocumentsInUse):
            Documents.in_file(tmp_path / "d")
        documents.put("jobs", "1", {})
    with closing(Documents.in_file(tmp_path / "d")) as documents:
        assert documents.all("jobs") == {"1": {}}


def test_a_file_that_was_only_read_is_not_free_either(tmp_path):
    Documents.in_file(tmp_path / "d").close()
    with closing(Documents.in_file(tmp_path / "d")), pytest.raises(DocumentsInUse):
        Documents.in_file(tmp_path / "d")


def test_a_second_service_says_in_one_line_that_the_directory_is_in_use(tmp_path):
    async def start():
        async with open_service("http://127.0.0.1:9", [], tmp_path):
            pytest.fail("two services share a directory")

    with (
        closing(Documents.in_file(tmp_path / "prediction.sqlite")),
        pytest.raises(DataDirectoryUnusable) as refused,
    ):
        asyncio.run(start())
    wanted = f"{tmp_path} cannot hold the service's data: another service is using it."
    assert str(refused.value) == wanted


def test_threads_put_at_the_same_time(tmp_path):
    with closing(Documents.in_file(tmp_path / "d")) as documents, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: documents.put("n", f"{number:03}", number), range(200)))
        assert list(documents.all("n").values()) == list(range(200))
