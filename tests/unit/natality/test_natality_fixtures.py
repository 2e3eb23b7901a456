"""The committed samples are what the domain says they are."""

import json
from pathlib import Path

from tf_dataflow_serving.natality.instance import Instance, from_row
from tf_dataflow_serving.natality.messages import decode
from tf_dataflow_serving.natality.validation import InvalidInstance, validate

FIXTURES = Path(__file__).parents[3] / "fixtures" / "natality"


def test_first_message_is_the_originals_sample(sample: Instance) -> None:
    lines = (FIXTURES / "messages.jsonl").read_text().splitlines()
    messages = [
        decode(line["data"].encode(), line["attributes"]) for line in map(json.loads, lines)
    ]
    assert validate(messages[0].instance) == sample
    assert [message.source_id for message in messages] == list(range(1, len(messages) + 1))
    for message in messages:
        validate(message.instance)


def test_rows_hold_valid_and_invalid_births() -> None:
    rows = [json.loads(line) for line in (FIXTURES / "rows.jsonl").read_text().splitlines()]
    refused = []
    for row in rows:
        try:
            validate(from_row(row))
        except InvalidInstance as invalid:
            refused.append(invalid.feature)
    assert 0 < len(refused) < len(rows) / 10


def test_recorded_predictions_are_of_valid_instances_of_every_race() -> None:
    lines = (FIXTURES / "predictions.jsonl").read_text().splitlines()
    instances = [validate(json.loads(line)["instance"]) for line in lines]
    assert len({instance["mother_race"] for instance in instances}) == 12
    assert len({instance["plurality"] for instance in instances}) == 4
