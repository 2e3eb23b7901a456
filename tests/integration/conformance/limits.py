"""What the emulators of others cannot do: these tests are expected to fail there."""

from collections.abc import Mapping

from tf_dataflow_serving.flags import Services

_BIGQUERY = {
    "no place for NaN": (
        "test_floats_that_are_no_numbers",
        "test_floats_that_are_no_numbers_pass_through_files",
        "test_a_parameter_that_is_no_number[containers-nan]",
    ),
    "MERGE from a table only, and no count of changed rows": (
        "test_dml_says_how_many_rows_it_changed",
    ),
    "ALTER TABLE does not show, nor do REQUIRED columns made by SQL": ("test_ddl",),
}
_STORAGE = {
    "no XML multipart uploads": ("test_parts_at_once",),
    "no generation in the preconditions of a download": ("test_one_that_is_gone",),
    "no metageneration": ("test_metagenerations",),
    "metadata that is removed becomes empty": ("test_it_is_patched",),
    "no component count of a composed object": ("test_compose",),
    "compose honours no precondition": ("test_compose_onto_what_must_not_be_there",),
    "no matchGlob": ("test_globs",),
    "a bucket with objects is refused with 412 in place of 409": (
        "test_one_with_objects_is_not_deleted",
    ),
}

LIMITS: Mapping[tuple[Services, str], str] = {
    (Services.CONTAINERS, test): f"{emulator}: {reason}"
    for emulator, limits in (("bigquery-emulator", _BIGQUERY), ("fake-gcs-server", _STORAGE))
    for reason, tests in limits.items()
    for test in tests
}
"""The reason by the kind of services and the test's name, with or without its parameters.

Services of our own, embedded or external, have no entry: what fails there is a defect.
"""
