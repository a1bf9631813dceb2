"""What users call presets that come from elsewhere."""

from __future__ import annotations

import pytest

from fnet_cli.errors import UsageError
from fnet_cli.presets.handles import parse_handle


@pytest.mark.parametrize("text", ["file://", "file:///", "file:////", "file://relative"])
def test_a_file_address_is_an_absolute_path_of_a_directory(text):
    with pytest.raises(UsageError, match="is not the address of a directory") as caught:
        parse_handle(text)
    assert "file:///" in caught.value.hint


def test_a_directory_on_a_disk_is_an_address():
    handle = parse_handle("file:///mnt/presets/tiny/")
    assert handle is not None
    assert (str(handle), handle.is_on_disk) == ("file:///mnt/presets/tiny", True)
