"""Numbers, times and names as a person reads them. Pure text; it never decides what is worth saying."""

from __future__ import annotations

import math
from datetime import UTC, datetime

GAP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
SHARES = ("rate", "share", "coverage", "missing", "limit", "difference_margin")
"""Numbers that are shares: the last word of their names, but for the last two, which are whole names."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Whole numbers with thousands separators, others with four significant digits.

    >>> number(1234567), number(0.0123456), number(5.0), number(-1.5), number(3e21)
    ('1,234,567', '0.01235', '5', '−1.5', '3×10²¹')
    """
    if abs(value) >= 1e15 or (value and abs(value) < 1e-5):
        mantissa, exponent = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else (f"{value:.3g}", "0")
        return f"{mantissa}×10{power(int(exponent))}".replace("-", MINUS)
    if float(value).is_integer():
        return f"{int(value):,}".replace("-", MINUS)
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".").replace("-", MINUS)


def power(exponent: int) -> str:
    """An exponent, raised.

    >>> power(-12)
    '⁻¹²'
    """
    return str(exponent).translate(SUPERSCRIPTS)


def percent(share: float | None) -> str:
    """A share as a percentage with about two significant digits below 10 %.

    >>> [percent(share).replace(GAP, " ") for share in (0, 0.00123, 0.051, 0.5, 0.99954, None)]
    ['0 %', '0.12 %', '5.1 %', '50 %', '99.95 %', '–']
    """
    if share is None:
        return "–"
    value = 100 * share
    if abs(value) >= 1e6:
        return number(value) + GAP + "%"
    near_all = 99 < abs(value) < 100
    digits = 2 if near_all or value == 0 else max(0, 1 - math.floor(math.log10(abs(value)))) if abs(value) < 10 else 1
    text = f"{value:,.{min(digits, 8)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS) + GAP + "%"


def duration(seconds: float) -> str:
    """How long, in the two units that matter.

    >>> [duration(s).replace(GAP, " ") for s in (0.25, 42, 100, 3600, 93_784, 864_000)]
    ['0.2 s', '42 s', '1 min 40 s', '1 h', '1 d 2 h', '10 d']
    """
    if seconds < 10 and not float(seconds).is_integer():
        return f"{seconds:.1f}{GAP}s"
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append((count, unit))
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count:,}{GAP}{unit}" for count, unit in parts[:2] if count or len(parts) == 1)


def moment(at: datetime) -> str:
    """A time with its date, in UTC, to the second.

    >>> moment(datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    '2026-03-01 09:05:00 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(at: datetime) -> str:
    """The time of day alone, in UTC, where the date stands beside it."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "check"), plural(1200, "request")
    ('1 check', '1,200 requests')
    """
    return f"{number(count)} {noun}" + ("" if count == 1 else "s")


def spoken(name: str) -> str:
    """A field's name as words.

    >>> spoken("needed_requests"), spoken("log_e_harm_needed")
    ('needed requests', 'e harm needed')
    """
    name = name.removeprefix("log_") if name.startswith("log_e_") else name
    return name.replace("_", " ").strip() or name


def figure(name: str, value: float) -> str:
    r"""A named number in the unit that its name tells.

    >>> figure("candidate_rate", 0.0123).replace(GAP, " "), figure("dwell_seconds", 42), figure("alpha", 0.05)
    ('1.2 %', '42\xa0s', '0.05')
    """
    if name.endswith("_seconds") and 0 <= value < 1e12:
        return duration(value)
    if name.endswith("_ms"):
        return f"{number(value)}{GAP}ms"
    if name.startswith("log_e_"):
        return e_value(value)
    if name in SHARES or name.rsplit("_", 1)[-1] in SHARES[:-2]:
        return percent(value)
    return number(value)


def milliseconds(value: float) -> str:
    """A duration whose last digits are noise: it is the end of a bin that is 12 % wide.

    >>> [milliseconds(value).replace(GAP, " ") for value in (0.1234, 12.345, 2345.6)]
    ['0.123 ms', '12.3 ms', '2,350 ms']
    """
    return figure("_ms", float(f"{value:.3g}"))


def e_value(log: float) -> str:
    """An e-value given as its natural logarithm: plain when it is near one, a power of ten when it is not.

    >>> e_value(math.log(20)), e_value(math.log(0.25)), e_value(800)
    ('20', '0.25', '10³⁴⁷')
    """
    tens = log / math.log(10)
    if abs(tens) >= 4:
        return f"10{power(round(tens))}"
    return number(float(f"{math.exp(log):.3g}"))


def short(digest: str) -> str:
    """The first twelve digits of a digest.

    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:12]
