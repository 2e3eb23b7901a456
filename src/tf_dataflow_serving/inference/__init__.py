"""Estimates for instances: by a model in this process, or by a prediction service."""
