#!/usr/bin/env python
"""Django's command line for Good Terms."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # It says what is wrong and what to do; a traceback would only hide that.
        sys.exit(str(error))


if __name__ == "__main__":
    main()
