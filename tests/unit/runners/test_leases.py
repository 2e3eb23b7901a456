"""What is leased, waits or is remembered; and how ack IDs are divided into requests."""

from collections.abc import Iterable

from google.pubsub_v1 import types

from tf_dataflow_serving.runners.leased.leases import Leased, Leases, Remembered, Terms, lease
from tf_dataflow_serving.runners.leased.outbox import REQUEST_ACK_IDS, REQUEST_BYTES, requests

REMEMBERED = 60.0


def received(message_id: str, ack_id: str = "", seconds: int = 0, key: str = "", **attributes: str):
    message = types.PubsubMessage.pb()(
        message_id=message_id, ordering_key=key, attributes=attributes, data=b"x" * 100
    )
    message.publish_time.FromSeconds(seconds)
    return types.ReceivedMessage.pb()(ack_id=ack_id or f"ack {message_id}", message=message)


def leases(**terms: int) -> Leases:
    return Leases(Terms(**terms), REMEMBERED)


def admit(held: Leases, *messages, now: float = 0.0, id_label: str | None = None):
    return held.admit(lease(messages, id_label), now)


def ids(taken: Iterable[Leased]) -> list[str]:
    return [leased.message.message_id for leased in taken]


def test_messages_are_taken_in_the_order_in_which_they_came():
    held = leases()
    assert admit(held, *map(received, "cab")).new == 3
    assert (ids(held.take(2)), ids(held.take(2)), held.waiting) == (["c", "a"], ["b"], 0)


def test_what_is_delivered_again_under_lease_is_acknowledged_by_both_ids():
    held = leases()
    admit(held, received("a", "first"))
    again = admit(held, received("a", "second"))
    (taken,) = held.take(10)
    assert (again.new, list(again.known)) == (0, [])
    assert held.ack_ids() == ["second"]
    assert held.acknowledge([taken], 0.0) == ["first", "second"]


def test_ack_ids_do_not_pile_up():
    held = leases()
    for number in range(5):
        admit(held, received("a", str(number)))
    assert held.give_back_all() == ["3", "4"]


def test_what_is_delivered_again_after_it_was_acknowledged_is_acknowledged_again():
    held = leases()
    admit(held, received("a"))
    held.acknowledge(held.take(1), 5.0)
    again = admit(held, received("a", "again"), now=64.9)
    assert (again.new, list(again.known)) == (0, ["again"])
    assert admit(held, received("a", "much later"), now=65.0).new == 1


def test_an_id_that_is_used_again_is_another_message():
    held = leases()
    admit(held, received("a", seconds=1))
    assert admit(held, received("a", seconds=2)).new == 1


def test_what_was_given_back_is_new():
    held = leases()
    admit(held, received("a", "first"))
    assert held.give_back(held.take(1)) == ["first"]
    assert admit(held, received("a", "second")).new == 1
    assert held.give_back_waiting() == ["second"]


def test_a_message_is_settled_once():
    held = leases()
    admit(held, received("a", "first"))
    taken = held.take(1)
    held.give_back(taken)
    admit(held, received("a", "second"))
    assert held.acknowledge(taken, 0.0) == []
    assert held.ack_ids() == ["second"]


def test_of_messages_with_one_label_one_is_taken_and_the_others_are_acknowledged():
    held = leases()
    first = admit(held, received("a", id="1"), received("b", id="1"), id_label="id")
    assert (first.new, list(first.known)) == (1, ["ack b"])
    held.acknowledge(held.take(1), 0.0)
    later = admit(held, received("c", id="1"), received("d", id="2"), id_label="id")
    assert (later.new, list(later.known)) == (1, ["ack c"])


def test_the_same_message_with_a_label_only_renews_its_lease():
    held = leases()
    admit(held, received("a", "first", id="1"), id_label="id")
    assert list(admit(held, received("a", "second", id="1"), id_label="id").known) == []
    assert held.give_back(held.take(1)) == ["first", "second"]
    assert admit(held, received("b", id="1"), id_label="id").new == 1


def test_messages_without_the_label_go_by_their_ids():
    held = leases()
    assert admit(held, received("a"), received("b"), id_label="id").new == 2


def test_of_an_ordering_key_what_waits_and_comes_again_keeps_the_new_order():
    held = leases()
    admit(held, *(received(name, key="k") for name in "abc"))
    held.give_back(held.take(1))
    admit(held, *(received(name, key="k") for name in "abc"))
    assert ids(held.take(10)) == ["a", "b", "c"]


def test_it_is_full_by_messages_and_by_bytes():
    few, small = leases(messages=2), leases(bytes=150)
    for held in (few, small):
        admit(held, received("a"))
        assert not held.is_full
        admit(held, received("b"))
        assert held.is_full
        held.acknowledge(held.take(2), 0.0)
        assert not held.is_full


def test_only_what_is_recent_is_remembered():
    remembered = Remembered(seconds=10.0)
    for second in range(100):
        remembered.add([f"{second}-{number}" for number in range(5)], float(second))
    assert len(remembered) == 50
    assert "90-0" in remembered
    assert "89-4" not in remembered


def test_requests_have_no_more_ack_ids_than_one_may():
    ack_ids = [str(number) for number in range(2 * REQUEST_ACK_IDS + 1)]
    divided = list(requests(ack_ids))
    assert [len(one) for one in divided] == [REQUEST_ACK_IDS, REQUEST_ACK_IDS, 1]
    assert [one for request in divided for one in request] == ack_ids
    assert list(requests([])) == []


def test_requests_are_no_larger_than_one_may_be():
    divided = list(requests(["x" * 50_000] * 20))
    assert sum(map(len, divided)) == 20
    assert all(sum(map(len, one)) <= REQUEST_BYTES for one in divided)
