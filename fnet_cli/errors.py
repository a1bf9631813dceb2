"""The errors that fnet_cli raises on purpose.

FnetError                     1    anything below; exit code 1 is never used for an expected failure
|-- UsageError                2    the call contradicts itself or names what does not exist
|-- InputDataError            3    a row, column or file of the input cannot be used
|-- PresetError               4    a preset is invalid
|   |-- PresetNotFoundError   4    a preset is unknown or not on this machine
|   `-- UnsafePresetError     4    a preset asks for something that a safe loader refuses
|-- NetworkError              5    a hub or a store cannot be reached, or fails
|   `-- AccessError           5    it refuses the credentials, or wants some
|-- IntegrityError            6    a result or a file does not match what it must be
|-- OutputError               7    the output cannot be written: permissions, disk space
|-- OutOfMemoryError          8    memory ran out, or is less than the job takes
|   `-- DeviceMemoryError     8    the device has not enough memory for a single row
|-- InstallationError         9    a package is missing or broken, or `fnet doctor` found a problem
`-- StoppedError            130    a job was asked to stop, and can be gone on with
"""

import re
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the `fnet` program; docs/reference/exit-codes.md is the table for users."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    INPUT_DATA = 3
    PRESET = 4
    NETWORK = 5
    INTEGRITY = 6
    OUTPUT = 7
    MEMORY = 8
    INSTALLATION = 9
    INTERRUPTED = 130


class FnetError(Exception):
    """A failure that the user can act on.

    `str(error)` is one line: what went wrong and where. `hint`, if not empty, is the next
    thing to do in this very case, and `default_hint` what holds for all errors of its class;
    `advice` is the one that is shown. `exit_code` is what the program ends with.
    """

    exit_code = ExitCode.UNEXPECTED
    default_hint: ClassVar[str] = "fnet doctor looks at the installation and the machine"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def advice(self) -> str:
        """The next thing to do, as far as it is known: never empty."""
        return self.hint or self.default_hint

    @classmethod
    def docs_anchor(cls) -> str:
        """Return where the documentation tells of this class, in the directory `docs`."""
        words = re.findall("[A-Z][a-z]+", cls.__name__)
        return f"reference/errors.md#{'-'.join(words).lower()}"


class UsageError(FnetError):
    """The request contradicts itself, or names an option value that does not exist here."""

    exit_code = ExitCode.USAGE
    default_hint = "--help after the command says what it takes"


class InputDataError(FnetError):
    """The input cannot be encoded: names the file, the row or line, and the column."""

    exit_code = ExitCode.INPUT_DATA
    default_hint = "correct the name or the file, and run the command again"


class PresetError(FnetError):
    """A preset is invalid: its files contradict each other, or lack something."""

    exit_code = ExitCode.PRESET
    default_hint = "fetch or make the preset again; fnet presets inspect shows what is in it"


class PresetNotFoundError(PresetError):
    """No preset of that name or path is on this machine."""

    default_hint = "fnet presets list shows what is here"


class UnsafePresetError(PresetError):
    """A preset contains something that is never loaded: foreign classes, links, lies."""

    default_hint = "nothing of it was loaded or run: ask its author, or use another preset"


class NetworkError(FnetError):
    """A hub, mirror or object store cannot be reached, fails, or does not let us in."""

    exit_code = ExitCode.NETWORK
    default_hint = "try again later; fnet doctor says which hubs can be reached"


class AccessError(NetworkError):
    """A hub, mirror or object store refuses the credentials, or wants some."""

    default_hint = "log in, or set the credentials; fnet doctor says which were found"


class IntegrityError(FnetError):
    """A result or a file is not what it must be: a non-finite embedding, a hash that is off."""

    exit_code = ExitCode.INTEGRITY
    default_hint = "do not use the file: fetch it or make it again"


class OutputError(FnetError):
    """The output cannot be written."""

    exit_code = ExitCode.OUTPUT
    default_hint = "make room or choose another place, and run the command again"


class OutOfMemoryError(FnetError):
    """Memory ran out, the machine's or what the job was given; or it is less than the job takes."""

    exit_code = ExitCode.MEMORY
    default_hint = "free memory, or raise the limit; fnet doctor says what there is"


class DeviceMemoryError(OutOfMemoryError):
    """The device has not enough memory for what was asked, not even row by row."""

    default_hint = "a smaller --batch-size or --sequence-length, or --device cpu, takes less"


class InstallationError(FnetError):
    """The installation is not fit to run: a package is missing, or does not start."""

    exit_code = ExitCode.INSTALLATION
    default_hint = "fnet doctor looks into it"


class StoppedError(FnetError):
    """A job has stopped because it was asked to, after the rows that were under way."""

    exit_code = ExitCode.INTERRUPTED
    default_hint = "the same command with --resume goes on"
