"""Full names of Pub/Sub resources that a user may give by their last part alone."""


def topic_path(project: str, topic: str) -> str:
    """Return projects/P/topics/T."""
    return topic if "/" in topic else f"projects/{project}/topics/{topic}"


def subscription_path(project: str, subscription: str) -> str:
    """Return projects/P/subscriptions/S."""
    if "/" in subscription:
        return subscription
    return f"projects/{project}/subscriptions/{subscription}"
