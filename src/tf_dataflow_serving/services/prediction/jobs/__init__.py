"""Batch prediction jobs: their states, their work in pieces, and what survives a crash of it."""
