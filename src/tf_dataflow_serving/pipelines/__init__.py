"""The experiments as Beam pipelines; they know ordinary options and nothing of services."""
