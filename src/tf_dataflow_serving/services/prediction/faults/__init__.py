"""Faults and quotas of online prediction: what is planned, whom it strikes, how it looks."""
