"""A stateful double of Stripe's HTTP API on loopback, for demonstrations and tests."""
