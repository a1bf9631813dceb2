"""Quantities as people read them."""

from __future__ import annotations


def show_count(count: int, noun: str) -> str:
    """Show how many there are of what `noun` is one of, such as 1 row or 2,000 rows."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def show_bytes(count: float) -> str:
    """Show a number of bytes in decimal units, such as 331.4 MB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def show_seconds(seconds: float) -> str:
    """Show seconds as 1.2s, 12s, 3m05s or 2h07m."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"
