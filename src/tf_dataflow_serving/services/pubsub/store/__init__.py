"""What outlives the process: the records, and the SQLite file that keeps them."""
