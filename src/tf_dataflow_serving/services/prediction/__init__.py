"""Prediction service: Cloud ML Engine v1, Vertex AI v1 and TensorFlow Serving over SavedModels."""
