"""Write tests/golden/transformers.json: outputs of transformers' FNetModel on seeded weights.

Run from the repository root, with the `peers` extra: python tests/golden/make_golden.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from builders import TINY, random_tensors  # noqa: E402
from transformers_model import fnet_model, run_fnet_model  # noqa: E402


def main() -> None:
    import transformers

    rng = np.random.default_rng(11)
    inputs = {
        "token_ids": rng.integers(0, TINY.vocabulary_size, (2, 13)),
        "segment_ids": rng.integers(0, TINY.num_segments, (2, 13)),
    }
    model = fnet_model(transformers, TINY, random_tensors(TINY, seed=5))
    outputs = run_fnet_model(model, inputs)
    document = {
        "transformers": transformers.__version__,
        "seed": 5,
        **{name: array.tolist() for name, array in inputs.items()},
        **{
            name: [[float(f"{v:.7g}") for v in row] for row in array.reshape(-1, array.shape[-1])]
            for name, array in outputs.items()
        },
    }
    (HERE / "transformers.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
