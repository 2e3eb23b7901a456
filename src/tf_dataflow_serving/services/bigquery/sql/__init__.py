"""What is done to SQL before it is run."""
