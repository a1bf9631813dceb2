"""Quantities as people read them."""

from __future__ import annotations

import pytest

from fnet_cli.units import show_bytes, show_count, show_seconds


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_one_is_not_many(count, shown):
    assert show_count(count, "row") == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(999, "999 B"), (331_400_000, "331.4 MB"), (2.5e15, "2500.0 TB")]
)
def test_bytes_are_in_decimal_units(count, shown):
    assert show_bytes(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1.23, "1.2s"), (12.4, "12s"), (185, "3m05s"), (7_620, "2h07m")]
)
def test_seconds_are_as_fine_as_their_number_is_small(seconds, shown):
    assert show_seconds(seconds) == shown
