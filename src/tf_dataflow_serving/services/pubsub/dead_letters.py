"""What becomes of a message that was delivered in vain too often.

Source: cloud.google.com/pubsub/docs/handling-failures, "Dead-letter topics", and the comments
of `DeadLetterPolicy` in google/pubsub/v1/pubsub.proto.
"""

from datetime import UTC, datetime

from tf_dataflow_serving.services.pubsub import names
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.delivery import Delivery
from tf_dataflow_serving.services.pubsub.message import Draft
from tf_dataflow_serving.services.pubsub.settings import DeadLetterPolicy

_PREFIX = "CloudPubSubDeadLetterSource"


def is_dead(delivery: Delivery, policy: DeadLetterPolicy) -> bool:
    """Tell whether a message has come back as often as its subscription allows."""
    return delivery.returns >= policy.max_delivery_attempts


def dead_letter(subscription_name: str, delivery: Delivery) -> Draft:
    """Return a message as it goes to the dead-letter topic: with its origin as attributes."""
    project, name = names.split(subscription_name)
    content = delivery.message.content
    published = datetime.fromtimestamp(delivery.message.publish_time / SECOND, UTC)
    origin = {
        f"{_PREFIX}DeliveryCount": str(delivery.returns),
        f"{_PREFIX}Subscription": name,
        f"{_PREFIX}SubscriptionProject": project,
        f"{_PREFIX}TopicPublishTime": published.isoformat(timespec="milliseconds"),
    }
    return content._replace(attributes={**content.attributes, **origin})
