"""Rows that say which they are, so that BigQuery takes each once."""


class IdentifiedRow(dict[str, object]):
    """A row with a BigQuery insert id of its own: the same for a message that comes again.

    The local runner uses it. Beam's sink, which asks for none, makes an id of its own.
    """

    def __init__(self, values: dict[str, object], insert_id: str | None) -> None:
        super().__init__(values)
        self.insert_id = insert_id
