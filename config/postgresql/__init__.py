"""Django's PostgreSQL with a pool of our own making: see `base`."""
