"""Measurements at the size of a large company: `bin/bench NAME`; docs/performance.md says what came out."""
