"""How Spanish lists of the admin write dates; pages use `accounts.templatetags.terms_format`."""

# A day is never broken; in a narrow column the time may stand below it.
DATE_FORMAT = "j\u00a0b\u00a0Y"
DATETIME_FORMAT = "j\u00a0b\u00a0Y, H:i"
TIME_FORMAT = "H:i"
SHORT_DATE_FORMAT = DATE_FORMAT
SHORT_DATETIME_FORMAT = DATETIME_FORMAT
