"""Read files as a job does, up to the model, and say what came of each: for `test_damaged.py`.

A process of its own, since native code that is misled ends the process, and memory is bounded.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from pathlib import Path

from fnet_cli.config import Settings
from fnet_cli.encoding.options import EncodeOptions, OnError, TextOptions
from fnet_cli.encoding.plan import make_plan
from fnet_cli.encoding.preparing import prepared_windows
from fnet_cli.encoding.rejecting import damages
from fnet_cli.errors import FnetError

# Of addresses: pyarrow does not give back the room for what it could not decompress.
MOST_MEMORY = 4 * 1024**3


def outcome(path: Path, preset: str, on_error: OnError) -> dict[str, object]:
    """Return the error, or the rows that were stated, that came, and that were rejected."""
    has_ids = any(suffix in path.name for suffix in (".parquet", ".jsonl", ".arrow"))
    text = None if has_ids else TextOptions()
    options = EncodeOptions(
        (str(path),), "-", preset=preset, text=text, on_error=on_error, columns=(), pad_id=3
    )
    try:
        plan = make_plan(options, Settings(), io.BytesIO())
        rows = rejected = 0
        for window in prepared_windows(plan):
            rows += window.rows
            rejected += window.rows_rejected
    except FnetError as error:
        return {"error": str(error), "code": int(error.exit_code)}
    return {
        "stated": plan.rows,
        "rows": rows,
        "rejected": rejected,
        "damages": len(damages(plan.sources)),
    }


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    directory, preset, on_error = sys.argv[1:]
    for path in sorted(Path(directory).iterdir()):
        entry = {"file": path.name, **outcome(path, preset, OnError(on_error))}
        sys.stdout.write(json.dumps(entry) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
