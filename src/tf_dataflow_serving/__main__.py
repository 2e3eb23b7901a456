"""`python -m tf_dataflow_serving` is the command `dataflow-serving`."""

from tf_dataflow_serving.cli import main

main()
