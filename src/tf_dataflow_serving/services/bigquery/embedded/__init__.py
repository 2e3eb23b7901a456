"""bqemulator in this process: the tables, and what it gets wrong, mended."""
