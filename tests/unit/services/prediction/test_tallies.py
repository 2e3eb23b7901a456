from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.jobs.tallies import (
    MAX_CHARACTERS,
    MAX_MESSAGES,
    OTHER_ERRORS,
    Tally,
)

messages = st.lists(st.text("ab", max_size=2))


def tally_of(errors) -> Tally:
    tally = Tally()
    tally.add(1, errors)
    return tally


@given(st.lists(messages, max_size=5))
def test_a_sum_has_what_all_parts_have(parts):
    total = Tally.sum(map(tally_of, parts))
    assert total.predictions == len(parts)
    assert total.errors == Counter(message for part in parts for message in part)
    assert Tally.from_document(total.document()).errors == total.errors


def test_the_beginning_of_a_long_message_is_kept():
    assert tally_of(["a" * 3 * MAX_CHARACTERS]).errors == {"a" * MAX_CHARACTERS: 1}


def test_only_so_many_messages_are_kept_and_all_bad_lines_are_counted():
    first, second = Tally(), Tally()
    for number in range(2 * MAX_MESSAGES):
        first.add(0, [f"first {number}"])
        second.add(0, [f"second {number}", "first 0"])
    total = Tally.sum([first, second])
    assert total.errors.total() == 6 * MAX_MESSAGES
    assert len(total.errors) == MAX_MESSAGES + 1
    assert total.errors["first 0"] == 1 + 2 * MAX_MESSAGES
    assert total.errors[OTHER_ERRORS] == 3 * MAX_MESSAGES
