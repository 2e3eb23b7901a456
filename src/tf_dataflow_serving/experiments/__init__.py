"""The experiments as a whole: input made, runs measured, results checked and shown."""
