from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.documents import Documents

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
    # Not closed: so it is after a crash.
    Documents.in_file(tmp_path / "d").put("jobs", "1", {"state": "RUNNING"})
    with closing(Documents.in_file(tmp_path / "d")) as documents:
        assert documents.all("jobs") == {"1": {"state": "RUNNING"}}


def test_threads_put_at_the_same_time(tmp_path):
    with closing(Documents.in_file(tmp_path / "d")) as documents, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: documents.put("n", f"{number:03}", number), range(200)))
        assert list(documents.all("n").values()) == list(range(200))
