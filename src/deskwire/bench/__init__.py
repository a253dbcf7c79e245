"""The scales: a client of `desk.v1` that keeps a record, and what it weighs."""
