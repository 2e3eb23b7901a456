"""Pub/Sub messages that stay leased until what was made of them is written."""
