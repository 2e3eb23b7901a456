"""A pytest plugin, run in a process of its own: its pipelines are those of the streaming runner."""

from tf_dataflow_serving.runners.streaming.installation import install

install()
