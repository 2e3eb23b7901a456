"""Names, limits, ack IDs, and lists in pages."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.pubsub import names
from tf_dataflow_serving.services.pubsub.delivery import AckId
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.message import Draft, Message, check_publication
from tf_dataflow_serving.services.pubsub.protocol.paging import paginate
from tf_dataflow_serving.services.pubsub.settings import check_labels


@pytest.mark.parametrize("identifier", ["abc", "a" * 255, "A-_.~+%9", "my-goog"])
def test_documented_names_are_valid(identifier):
    names.check_topic(f"projects/p/topics/{identifier}")
    names.check_subscription(f"projects/p/subscriptions/{identifier}")


@pytest.mark.parametrize(
    "identifier",
    ["", "ab", "a" * 256, "1abc", "-abc", "googabc", "a/bc", "a bc", "abcé", "abc\n", "_deleted"],
)
def test_other_names_are_refused(identifier):
    with pytest.raises(InvalidArgument, match="Invalid resource name"):
        names.check_topic(f"projects/p/topics/{identifier}")
    with pytest.raises(InvalidArgument, match="Invalid resource name"):
        names.check_subscription(f"projects/p/subscriptions/{identifier}")


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (names.check_topic, "abc"),
        (names.check_topic, "projects/p/subscriptions/abc"),
        (names.check_topic, "projects//topics/abc"),
        (names.check_topic, "_deleted-topic_"),
        (names.check_subscription, "projects/p/topics/abc"),
        (names.check_project, "p"),
        (names.check_project, "projects/"),
        (names.check_project, "projects/p/"),
    ],
)
def test_a_name_of_another_kind_is_refused(check: Callable[[str], None], name: str):
    with pytest.raises(InvalidArgument):
        check(name)


def draft(data: bytes = b"x", key: str = "", **attributes: str) -> Draft:
    return Draft(data, attributes, key)


@pytest.mark.parametrize(
    "drafts",
    [
        [draft()] * 1000,
        [draft(b"", a="b")],
        [draft(b"", a="")],
        [draft(**{"k" * 256: "v" * 1024})],
        [draft(**{f"k{i}": "" for i in range(100)})],
        [draft(key="k" * 1024)] * 2,
        [draft(googclient_x="1")],
    ],
)
def test_what_the_limits_allow_is_published(drafts):
    check_publication(drafts)


@pytest.mark.parametrize(
    ("drafts", "why"),
    [
        ([], "at least one message"),
        ([draft()] * 1001, "message_count is too large"),
        ([draft(), draft(b"")], "non-empty data"),
        ([draft(**{"k" * 257: ""})], "attribute key has 257 bytes"),
        ([draft(**{"é" * 129: ""})], "attribute key has 258 bytes"),
        ([draft(a="v" * 1025)], "value of attribute a has 1025 bytes"),
        ([draft(**{f"k{i}": "" for i in range(101)})], "101 attributes"),
        ([draft(**{"": "v"})], "must not be empty"),
        ([draft(google="1")], "must not begin with goog"),
        ([draft(key="k" * 1025)], "ordering_key has 1025 bytes"),
        ([draft(key="a"), draft(key="b")], "share one ordering key"),
    ],
)
def test_what_breaks_a_limit_is_refused_with_the_reason(drafts, why):
    with pytest.raises(InvalidArgument, match=why):
        check_publication(drafts)


@given(st.binary(), st.dictionaries(st.text(max_size=9), st.text(max_size=9)), st.text(max_size=9))
def test_a_message_weighs_its_bytes(data, attributes, key):
    texts = [key, *attributes.keys(), *attributes.values()]
    expected = len(data) + sum(len(text.encode()) for text in texts)
    assert Message(1, 0, Draft(data, attributes, key)).size == expected


@given(st.builds(AckId, *[st.integers(0, 2**70)] * 3))
def test_an_ack_id_survives_its_text(ack_id):
    assert AckId.parse(str(ack_id)) == ack_id


@given(st.text("0123456789abcdefABCDEF-_x +", max_size=12))
def test_one_ack_id_has_one_text(text):
    try:
        ack_id = AckId.parse(text)
    except InvalidArgument:
        return
    assert str(ack_id) == text


@pytest.mark.parametrize("text", ["", "1-1", "1-1-1-1", "x-1-1", "0x1-1-1", " 1-1-1", "1_0-1-1"])
def test_other_texts_are_no_ack_ids(text):
    with pytest.raises(InvalidArgument, match="invalid ack ID"):
        AckId.parse(text)


@given(st.sets(st.text(min_size=1)), st.integers(1, 5))
def test_the_pages_are_the_list(items, size):
    ordered, pages, token = sorted(items), [], ""
    while True:
        page = paginate(ordered, str, size, token)
        pages.append(page.items)
        if not (token := page.next_token):
            break
    assert [item for page in pages for item in page] == ordered
    assert all(len(page) == size for page in pages[:-1])


def test_a_page_goes_on_after_an_item_that_is_gone():
    first = paginate(["a", "b", "c"], str, 2, "")
    assert paginate(["a", "c"], str, 2, first.next_token).items == ["c"]


def test_a_page_has_a_thousand_at_most_and_no_less_than_none():
    items = [f"{number:04}" for number in range(1001)]
    assert len(paginate(items, str, 0, "").items) == 1000
    assert len(paginate(items, str, 5000, "").items) == 1000
    with pytest.raises(InvalidArgument, match="page size"):
        paginate(items, str, -1, "")


@pytest.mark.parametrize(
    "labels",
    [{}, {"a": ""}, {"team-1_x": "7"}, {"é": "ü"}, {"k" * 63: "v" * 63}],
)
def test_documented_labels_are_valid(labels):
    check_labels(labels)


@pytest.mark.parametrize(
    "labels",
    [
        {"": "v"},
        {"1a": "v"},
        {"UPPER": "v"},
        {"a b": "v"},
        {"k" * 64: "v"},
        {"k": "v" * 64},
        {"k": "V"},
        {f"k{number}": "v" for number in range(65)},
    ],
)
def test_other_labels_are_refused(labels):
    with pytest.raises(InvalidArgument, match="label"):
        check_labels(labels)
