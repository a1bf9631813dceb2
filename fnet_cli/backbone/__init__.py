"""The FNet model. `config` and `parameters` are plain Python; the other modules import Keras."""
