"""Runs a pipeline's script on Beam as it is, with its BigQuery client led to an emulator.

Google's own clients follow their environment variables. Nothing else is changed.
"""

import os
import runpy
import sys

from apache_beam.io.gcp.internal.clients.bigquery.bigquery_v2_client import BigqueryV2


def main() -> None:
    BigqueryV2.BASE_URL = os.environ["BIGQUERY_EMULATOR_HOST"] + "/bigquery/v2/"
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
