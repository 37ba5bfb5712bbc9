"""Django's own date formats, by language."""
