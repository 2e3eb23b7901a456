"""Prediction service: Cloud ML Engine v1, online and batch, over any TensorFlow SavedModel."""
