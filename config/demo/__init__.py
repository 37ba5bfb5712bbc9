"""What runs on one machine for an evaluation, a test or a browser: processes, private servers."""
