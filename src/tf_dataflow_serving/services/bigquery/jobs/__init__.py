"""What jobs do: load, copy, extract, write a query's rows."""
