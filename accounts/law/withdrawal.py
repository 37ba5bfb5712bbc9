"""How long a contract can be withdrawn from."""

#: Countries in which Directive 2011/83/EU (art. 9) gives consumers a right of withdrawal.
EU_COUNTRIES = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)
WITHDRAWAL_DAYS = 14


def withdrawal_days(country: str, kind: str) -> int:
    """Days in which a contract can be withdrawn from by law (rule eu-withdrawal); 0: the law gives none."""
    return WITHDRAWAL_DAYS if kind == "consumer" and country.upper() in EU_COUNTRIES else 0
