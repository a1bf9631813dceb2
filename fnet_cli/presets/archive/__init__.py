"""A preset in one file, for machines that no network reaches: `fnet presets export` and `import`.

An archive is a plain tar file: `fnet-preset.json`, which is the preset's manifest with a hash of
itself, then the preset's files as `files/<name>`, the config first and the others by name. The
same preset gives the same bytes. Nothing of an archive goes to its place before all of it has
been held against its record, and would load.
"""

from fnet_cli.presets.archive.exporting import export_preset
from fnet_cli.presets.archive.importing import import_archive
from fnet_cli.presets.archive.reading import Archive, read_archive

__all__ = ["Archive", "export_preset", "import_archive", "read_archive"]
