"""A plain pipeline that asks Vertex AI, such as anybody has: it knows nothing of the services."""

import argparse
import json
import sys

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.ml.inference.vertex_ai_inference import VertexAIModelHandlerJSON
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud import aiplatform

strangers: list[object] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Note whoever is looked for that is not on this machine."""
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost"):
        strangers.append(arguments[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--instances", required=True)
    parser.add_argument("--output", required=True)
    given, flags = parser.parse_known_args()
    instances = json.loads(given.instances)
    sys.addaudithook(watch)
    handler = VertexAIModelHandlerJSON(given.endpoint, "any-project", "europe-west1")
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        _ = (
            pipeline
            | beam.Create(instances)
            | RunInference(handler)
            | beam.Map(lambda result: json.dumps([result.example, result.inference]))
            | beam.io.WriteToText(given.output, shard_name_template="")
        )
    body = json.dumps({"instances": instances[:1]}).encode()
    raw = aiplatform.Endpoint(given.endpoint).raw_predict(body, {})
    print(raw.text)  # noqa: T201 - it is compared
    if strangers:
        sys.exit(f"not on this machine: {strangers}")


if __name__ == "__main__":
    main()
