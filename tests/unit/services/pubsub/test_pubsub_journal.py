"""The history that tests read."""

from collections.abc import Mapping

from tf_dataflow_serving.services.pubsub import journal as journal_module
from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.journal import Journal, Progress
from tf_dataflow_serving.services.pubsub.message import Draft, Message

TOPIC = "projects/p/topics/top"
OTHER = "projects/p/topics/other"
SUBSCRIPTION = "projects/p/subscriptions/sub"


def message(sequence: int, data: bytes = b"x") -> Message:
    return Message(sequence, 0, Draft(data, {}, ""))


def sequences(journal: Journal, topic: str = "") -> list[int]:
    return [record.message.sequence for record in journal.records(topic)]


def progress(journal: Journal) -> list[Mapping[str, Progress]]:
    return [record.progress() for record in journal.records()]


def hand_out(journal: Journal, of: Message, attempts: int = 1) -> Delivery:
    delivery = Delivery(of, owner=None)
    delivery.attempt = attempts
    journal.delivered(SUBSCRIPTION, delivery)
    return delivery


def test_messages_are_listed_in_the_order_of_publication_of_one_topic_or_all():
    journal = Journal()
    journal.published(TOPIC, [message(1), message(2)])
    journal.published(OTHER, [message(5)])
    journal.published(TOPIC, [message(7)])
    assert sequences(journal) == [1, 2, 5, 7]
    assert sequences(journal, TOPIC) == [1, 2, 7]
    assert [record.topic for record in journal.records(OTHER)] == [OTHER]


def test_the_oldest_messages_fall_out_and_are_counted():
    journal = Journal(capacity=3)
    journal.published(TOPIC, [message(1), message(2)])
    assert journal.forgotten == 0
    journal.published(TOPIC, [message(number) for number in range(3, 9)])
    assert (sequences(journal), journal.forgotten) == ([6, 7, 8], 5)


def test_much_data_falls_out_before_many_messages_do(monkeypatch):
    monkeypatch.setattr(journal_module, "MAX_BYTES", 10)
    journal = Journal()
    journal.published(TOPIC, [message(1, b"12345"), message(2, b"12345"), message(3, b"1")])
    assert (sequences(journal), journal.forgotten) == ([2, 3], 1)


def test_attributes_count_as_data_does(monkeypatch):
    monkeypatch.setattr(journal_module, "MAX_BYTES", 10)
    journal = Journal()
    large = Message(1, 0, Draft(b"", {"name": "1234567"}, ""))
    journal.published(TOPIC, [large, message(2)])
    assert (sequences(journal), journal.forgotten) == ([2], 1)


def test_a_message_larger_than_the_whole_journal_falls_out_alone(monkeypatch):
    monkeypatch.setattr(journal_module, "MAX_BYTES", 10)
    journal = Journal()
    journal.published(TOPIC, [message(1, b"12345678901")])
    journal.published(TOPIC, [message(2, b"1234567890")])
    assert (sequences(journal), journal.forgotten) == ([2], 1)


def test_without_capacity_nothing_is_recorded_but_counted():
    journal = Journal(capacity=0)
    journal.published(TOPIC, [message(1), message(2)])
    hand_out(journal, message(1))
    assert (sequences(journal), journal.forgotten) == ([], 2)


def test_progress_is_that_of_the_moment_when_it_is_read():
    journal = Journal()
    journal.published(TOPIC, [message(1)])
    assert progress(journal) == [{}]
    delivery = hand_out(journal, message(1))
    assert progress(journal) == [{SUBSCRIPTION: Progress(1, 0, acknowledged=False)}]
    delivery.attempt, delivery.extensions, delivery.acknowledged = 3, 2, True
    assert progress(journal) == [{SUBSCRIPTION: Progress(3, 2, acknowledged=True)}]


def test_after_a_seek_deliveries_add_up_and_the_last_one_tells_what_is_acknowledged():
    journal = Journal()
    journal.published(TOPIC, [message(1)])
    hand_out(journal, message(1), attempts=2).acknowledged = True
    again = hand_out(journal, message(1))
    assert progress(journal) == [{SUBSCRIPTION: Progress(3, 0, acknowledged=False)}]
    again.acknowledged = True
    assert progress(journal) == [{SUBSCRIPTION: Progress(3, 0, acknowledged=True)}]


def test_a_delivery_of_a_forgotten_message_is_ignored():
    journal = Journal(capacity=1)
    journal.published(TOPIC, [message(1), message(2)])
    hand_out(journal, message(1))
    assert progress(journal) == [{}]


def test_it_begins_anew_once_cleared(monkeypatch):
    monkeypatch.setattr(journal_module, "MAX_BYTES", 10)
    journal = Journal(capacity=2)
    journal.published(TOPIC, [message(1), message(2), message(3)])
    journal.clear()
    assert (sequences(journal), journal.forgotten) == ([], 0)
    journal.published(TOPIC, [message(4, b"1234567890")])
    assert (sequences(journal), journal.forgotten) == ([4], 0)
