"""Topics, subscriptions and snapshots between protobuf and the broker."""

from dataclasses import replace

import pytest
from google.protobuf import duration_pb2

from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.pubsub.protocol import resource_codec, wire
from tf_dataflow_serving.services.pubsub.settings import (
    DeadLetterPolicy,
    RetryPolicy,
    SubscriptionSettings,
    TopicSettings,
)

MINUTE = duration_pb2.Duration(seconds=60)
HOUR = duration_pb2.Duration(seconds=3600)
DAYS = duration_pb2.Duration(seconds=10 * 86_400)


def test_settings_of_a_subscription_are_read():
    request = wire.Subscription(
        name="n",
        topic="t",
        ack_deadline_seconds=30,
        labels={"a": "b"},
        enable_message_ordering=True,
        filter="attributes:a",
        enable_exactly_once_delivery=True,
        retain_acked_messages=True,
        message_retention_duration=HOUR,
        expiration_policy={"ttl": DAYS},
        retry_policy={"minimum_backoff": MINUTE},
        dead_letter_policy={"dead_letter_topic": "d", "max_delivery_attempts": 7},
    )
    assert resource_codec.subscription_settings(request) == SubscriptionSettings(
        ack_deadline_seconds=30,
        labels={"a": "b"},
        enable_message_ordering=True,
        filter="attributes:a",
        enable_exactly_once_delivery=True,
        retain_acked_messages=True,
        retention=3600 * SECOND,
        expiration=10 * 86_400 * SECOND,
        retry_policy=RetryPolicy(60 * SECOND, 600 * SECOND),
        dead_letter_policy=DeadLetterPolicy("d", 7),
    )


def test_settings_that_are_not_given_have_the_documented_defaults():
    settings = resource_codec.subscription_settings(wire.Subscription())
    assert settings == SubscriptionSettings()
    assert (settings.ack_deadline_seconds, settings.retention) == (10, 7 * 86_400 * SECOND)
    request = wire.Subscription(retry_policy={}, dead_letter_policy={"dead_letter_topic": "d"})
    settings = resource_codec.subscription_settings(request)
    assert settings.retry_policy == RetryPolicy(10 * SECOND, 600 * SECOND)
    assert settings.dead_letter_policy == DeadLetterPolicy("d", 5)


def test_settings_of_a_topic_are_read():
    request = wire.Topic(labels={"a": "b"}, message_retention_duration=HOUR)
    assert resource_codec.topic_settings(request) == TopicSettings({"a": "b"}, 3600 * SECOND)
    assert resource_codec.topic_settings(wire.Topic()) == TopicSettings()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("push_config", {"push_endpoint": "https://example.com"}),
        ("bigquery_config", {"table": "p.d.t"}),
        ("cloud_storage_config", {"bucket": "b"}),
        ("bigtable_config", {"table": "t"}),
        ("message_transforms", [{"enabled": True}]),
        ("tags", {"a": "b"}),
    ],
)
def test_a_subscription_feature_that_is_not_there_is_named(field, value):
    with pytest.raises(Unsupported, match=rf"^Subscription\.{field} is not supported"):
        resource_codec.subscription_settings(wire.Subscription(**{field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_storage_policy", {"allowed_persistence_regions": ["europe-west1"]}),
        ("kms_key_name", "k"),
        ("schema_settings", {"schema": "s"}),
        ("ingestion_data_source_settings", {"aws_kinesis": {"stream_arn": "s"}}),
        ("message_transforms", [{"enabled": True}]),
        ("tags", {"a": "b"}),
    ],
)
def test_a_topic_feature_that_is_not_there_is_named(field, value):
    with pytest.raises(Unsupported, match=rf"^Topic\.{field} is not supported"):
        resource_codec.topic_settings(wire.Topic(**{field: value}))


def test_a_snapshot_feature_that_is_not_there_is_named():
    with pytest.raises(Unsupported, match=r"^CreateSnapshotRequest\.tags is not supported"):
        resource_codec.snapshot_labels(wire.CreateSnapshotRequest(tags={"a": "b"}))


@pytest.mark.parametrize("field", ["push_config", "bigquery_config", "dead_letter_policy"])
def test_an_empty_message_that_asks_for_the_default_is_taken(field):
    request = wire.Subscription(**{field: {}})
    assert resource_codec.subscription_settings(request) == SubscriptionSettings()


def test_a_subscription_expires_after_31_days_or_as_asked_or_never():
    day = 86_400 * SECOND
    for given, expiration in (
        ({}, 31 * day),
        ({"expiration_policy": {}}, None),
        ({"expiration_policy": {"ttl": DAYS}}, 10 * day),
    ):
        settings = resource_codec.subscription_settings(wire.Subscription(**given))
        assert settings.expiration == expiration


def test_a_dead_letter_policy_without_a_topic_is_refused():
    request = wire.Subscription(dead_letter_policy={"max_delivery_attempts": 7})
    with pytest.raises(InvalidArgument, match="dead_letter_topic"):
        resource_codec.subscription_settings(request)


def test_a_time_beyond_64_bits_is_refused():
    request = wire.Subscription(expiration_policy={"ttl": {"seconds": 2**62}})
    with pytest.raises(InvalidArgument, match="out of range"):
        resource_codec.subscription_settings(request)


FULL = SubscriptionSettings(
    ack_deadline_seconds=30,
    labels={"a": "b"},
    enable_exactly_once_delivery=True,
    retain_acked_messages=True,
    retention=3600 * SECOND,
    expiration=10 * 86_400 * SECOND,
    retry_policy=RetryPolicy(60 * SECOND, 600 * SECOND),
    dead_letter_policy=DeadLetterPolicy("projects/p/topics/dead", 7),
)


@pytest.fixture
def subscription(bench):
    bench.broker.catalog.create_topic("projects/p/topics/dead", TopicSettings())
    bench.subscribe(**vars(FULL))
    return bench.broker.catalog.subscription("projects/p/subscriptions/sub")


def update(*paths: str, **fields: object) -> wire.Proto:
    request = wire.UpdateSubscriptionRequest(subscription=wire.Subscription(**fields))
    request.update_mask.paths.extend(paths)
    return request


@pytest.mark.parametrize(
    ("path", "given", "changes"),
    [
        ("labels", {"labels": {"c": "d"}}, {"labels": {"c": "d"}}),
        ("ack_deadline_seconds", {"ack_deadline_seconds": 60}, {"ack_deadline_seconds": 60}),
        ("ack_deadline_seconds", {}, {"ack_deadline_seconds": 10}),
        ("message_retention_duration", {}, {"retention": 7 * 86_400 * SECOND}),
        ("retry_policy", {}, {"retry_policy": None}),
        ("retry_policy", {"retry_policy": {}}, {"retry_policy": RetryPolicy()}),
        (
            "retry_policy.minimum_backoff",
            {"retry_policy": {"minimum_backoff": {"seconds": 1}}},
            {"retry_policy": RetryPolicy(SECOND, 600 * SECOND)},
        ),
        ("dead_letter_policy", {}, {"dead_letter_policy": None}),
        (
            "dead_letter_policy.max_delivery_attempts",
            {"dead_letter_policy": {"max_delivery_attempts": 9}},
            {"dead_letter_policy": DeadLetterPolicy("projects/p/topics/dead", 9)},
        ),
        ("expiration_policy", {}, {"expiration": 31 * 86_400 * SECOND}),
        ("expiration_policy", {"expiration_policy": {}}, {"expiration": None}),
        ("retain_acked_messages", {}, {"retain_acked_messages": False}),
        ("enable_exactly_once_delivery", {}, {"enable_exactly_once_delivery": False}),
        ("push_config", {"push_config": {}}, {}),
        ("bigquery_config", {}, {}),
        ("message_transforms", {}, {}),
    ],
)
def test_an_update_changes_what_the_mask_names_and_nothing_else(subscription, path, given, changes):
    updated = resource_codec.updated_subscription(subscription, update(path, **given))
    assert updated == replace(FULL, **changes)


def test_an_update_takes_only_what_the_mask_names_from_the_request(subscription):
    request = update("labels", labels={"c": "d"}, ack_deadline_seconds=60, filter="attributes:a")
    updated = resource_codec.updated_subscription(subscription, request)
    assert updated == replace(FULL, labels={"c": "d"})


@pytest.mark.parametrize(
    ("path", "given", "error", "why"),
    [
        (None, {}, InvalidArgument, "non-empty"),
        ("nonsense", {}, InvalidArgument, "no field"),
        ("labels.a", {}, InvalidArgument, "no field"),
        ("retry_policy.minimum_backoff", {}, InvalidArgument, "the request has no retry_policy"),
        ("filter", {}, InvalidArgument, "immutable"),
        ("name", {}, InvalidArgument, "immutable"),
        ("enable_message_ordering", {}, InvalidArgument, "immutable"),
        (
            "bigquery_config",
            {"bigquery_config": {"table": "t"}},
            Unsupported,
            r"Subscription\.bigquery_config",
        ),
        (
            "push_config.push_endpoint",
            {"push_config": {"push_endpoint": "http://localhost"}},
            Unsupported,
            r"Subscription\.push_config",
        ),
    ],
)
def test_other_updates_are_refused(subscription, path, given, error, why):
    with pytest.raises(error, match=why):
        resource_codec.updated_subscription(subscription, update(*filter(None, [path]), **given))


def test_updates_of_topics_and_snapshots_are_read(bench, subscription):
    topic = wire.UpdateTopicRequest(topic={"message_retention_duration": HOUR})
    topic.update_mask.paths.append("message_retention_duration")
    updated = resource_codec.updated_topic(subscription.topic, topic)
    assert updated == TopicSettings(retention=3600 * SECOND)
    snapshot = bench.broker.snapshots.create("projects/p/snapshots/snap", subscription, {"a": "b"})
    request = wire.UpdateSnapshotRequest(snapshot={"expire_time": {"seconds": 7}})
    request.update_mask.paths.append("expire_time")
    assert resource_codec.updated_snapshot(snapshot, request) == ({"a": "b"}, 7 * SECOND)
