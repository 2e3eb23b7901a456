"""Names and limits, as the original's contract and tables have them."""

import json

import pytest

from tf_dataflow_serving.natality.schema import (
    ERROR_SCHEMA,
    FEATURES,
    PREDICTION_SCHEMA,
    RACES,
    SAMPLES_TABLE,
    SOURCE_SCHEMA,
    CategoricalFeature,
    table_schema,
)


def test_features_have_the_names_and_types_of_the_models_contract() -> None:
    assert {feature.name: feature.dtype for feature in FEATURES} == {
        "mother_age": "float32",
        "plurality": "float32",
        "gestation_weeks": "float32",
        "is_male": "string",
        "mother_race": "string",
        "mother_married": "string",
        "cigarette_use": "string",
        "alcohol_use": "string",
    }


def test_race_labels_are_the_words_that_the_model_was_trained_with() -> None:
    assert RACES == {
        1: "White",
        2: "Black",
        3: "American Indian",
        4: "Chinese",
        5: "Japanese",
        6: "Hawaiian",
        7: "Filipino",
        9: "Unknown",
        18: "Asian Indian",
        28: "Korean",
        39: "Samaon",
        48: "Vietnamese",
    }
    vocabularies = {f.name: f.vocabulary for f in FEATURES if isinstance(f, CategoricalFeature)}
    assert set(vocabularies["mother_race"]) == set(RACES.values())


def test_stream_table_has_the_originals_columns() -> None:
    assert [(field["name"], field["type"]) for field in PREDICTION_SCHEMA] == [
        ("source_id", "INTEGER"),
        ("source_timestamp", "TIMESTAMP"),
        ("predict_timestamp", "TIMESTAMP"),
        ("estimated_weight", "FLOAT"),
        ("is_male", "STRING"),
        ("mother_age", "FLOAT"),
        ("mother_race", "STRING"),
        ("plurality", "FLOAT"),
        ("gestation_weeks", "INTEGER"),
        ("mother_married", "BOOLEAN"),
        ("cigarette_use", "BOOLEAN"),
        ("alcohol_use", "BOOLEAN"),
    ]


def test_only_is_male_is_required_of_a_source_row() -> None:
    assert SAMPLES_TABLE == "samples.natality"
    assert [field["name"] for field in SOURCE_SCHEMA if field["mode"] == "REQUIRED"] == ["is_male"]


@pytest.mark.parametrize("fields", [SOURCE_SCHEMA, PREDICTION_SCHEMA, ERROR_SCHEMA])
def test_table_schema_is_a_copy_that_json_can_carry(fields: list[dict[str, str]]) -> None:
    schema = table_schema(fields)
    assert json.loads(json.dumps(schema)) == {"fields": fields}
    schema["fields"][0]["name"] = "changed"
    assert fields[0]["name"] != "changed"
