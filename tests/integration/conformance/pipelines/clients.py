"""Google's clients without Beam: a query, a table, an object, a message."""

import argparse

from google.cloud import bigquery, pubsub_v1, storage

TIMEOUT = 60


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--topic", required=True)
    arguments = parser.parse_args()
    client = bigquery.Client()
    rows = client.list_rows(arguments.table).to_arrow(create_bqstorage_client=True)
    blob = storage.Client().bucket(arguments.bucket).blob("rows")
    blob.upload_from_string(str(rows.num_rows))
    pubsub_v1.PublisherClient().publish(arguments.topic, b"done").result(TIMEOUT)
    print(client.project)  # noqa: T201


if __name__ == "__main__":
    main()
