"""Stands in for dj-stripe's migrations in the demo, in development and in tests (never on a server)."""
