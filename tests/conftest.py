"""Settings that must stand before Keras is imported anywhere."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Each xdist worker runs its own TensorFlow; left alone, every one would take all cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
