"""File names, limits and defaults. Reads no environment and imports nothing of the package."""

from typing import Final

__version__ = "0.1.0.dev0"

DEFAULT_PRESET: Final = "f_net_mini_en"

# --- Files of a KerasHub preset directory -------------------------------------------------
CONFIG_FILE: Final = "config.json"
METADATA_FILE: Final = "metadata.json"
WEIGHTS_FILE: Final = "model.weights.h5"
SHARDED_WEIGHTS_FILE: Final = "model.weights.json"
TOKENIZER_CONFIG_FILE: Final = "tokenizer.json"
PREPROCESSOR_CONFIG_FILE: Final = "preprocessor.json"
VOCABULARY_FILE: Final = "assets/tokenizer/vocabulary.spm"

# --- A file of ours, which a preset of any format may have --------------------------------
ENCODE_SETTINGS_FILE: Final = "encode_settings.json"

# --- Special pieces, looked up by name because their ids differ between vocabularies -------
PAD_PIECE: Final = "<pad>"
UNK_PIECE: Final = "<unk>"
CLS_PIECE: Final = "[CLS]"
SEP_PIECE: Final = "[SEP]"
MASK_PIECE: Final = "[MASK]"

# --- Bounds on what an untrusted preset may claim -----------------------------------------
MAX_JSON_BYTES: Final = 4 * 1024**2
# sentencepiece takes up to forty times a model's bytes: a piece of no letters has two of them.
# The largest vocabularies in use, of 256,000 pieces, have less than 6 MB.
MAX_VOCABULARY_FILE_BYTES: Final = 8 * 1024**2
MAX_VOCABULARY_SIZE: Final = 4_000_000
MAX_LAYERS: Final = 512
MAX_HIDDEN_DIM: Final = 65_536
MAX_INTERMEDIATE_DIM: Final = 262_144
MAX_SEQUENCE_LENGTH: Final = 131_072
MAX_SEGMENTS: Final = 1_024
MAX_PARAMETERS: Final = 20_000_000_000
MAX_SAFETENSORS_HEADER_BYTES: Final = 16 * 1024**2
MAX_SHARDS: Final = 1_024

# --- Files of settings ----------------------------------------------------------------------
PROJECT_FILE: Final = "fnet.toml"
MAX_SETTINGS_BYTES: Final = 1024**2

# --- Bounds on what a hub may send ---------------------------------------------------------
MAX_LISTED_FILES: Final = 10_000
MAX_DOCUMENTATION_BYTES: Final = 16 * 1024**2
# A weight file may hold float64 values and the headers around them.
MAX_BYTES_PER_PARAMETER: Final = 9
MAX_WEIGHT_OVERHEAD_BYTES: Final = 64 * 1024**2
MAX_RETRY_AFTER_SECONDS: Final = 120.0
DEFAULT_TIMEOUT_SECONDS: Final = 30.0
DEFAULT_RETRIES: Final = 5
# A process that died holds a pull up for at most this long; on the same machine not at all.
LOCK_LEASE_SECONDS: Final = 30.0

# --- The encode job -------------------------------------------------------------------------
EMBEDDING_COLUMN: Final = "embedding"
TOKEN_COLUMN: Final = "token_ids"  # noqa: S105 - a column's name, no secret
SEGMENT_COLUMN: Final = "segment_ids"
TEXT_COLUMN: Final = "text"  # the only column of plain text
# Where a chunk is from: the text's row among all that were read, its number in it, its characters.
DOCUMENT_COLUMN: Final = "document"
CHUNK_COLUMN: Final = "chunk"
CHAR_START_COLUMN: Final = "char_start"
CHAR_END_COLUMN: Final = "char_end"
CHUNK_COLUMNS: Final = (DOCUMENT_COLUMN, CHUNK_COLUMN, CHAR_START_COLUMN, CHAR_END_COLUMN)
OUTPUT_METADATA_KEY: Final = b"fnet"
TOKENS_METADATA_KEY: Final = b"fnet_tokens"
# Bucket padding: to a multiple of this, and of a quarter of the power of two below where that is
# more. So at most a fifth of a long row is padding, and there are few lengths.
SMALLEST_BUCKET: Final = 8
BUCKETS_PER_DOUBLING: Final = 4
# A window is what is grouped by length, encoded, and written as one row group. Its embeddings
# stay near this size, so memory does not depend on the number of rows.
WINDOW_BYTES: Final = 16 * 1024**2
MAX_WINDOW_ROWS: Final = 16_384
# Also what a stop waits for, and what a crash may cost: about half a minute on two cores.
WINDOW_OPERATIONS: Final = 1e13
WINDOW_TOKENS: Final = 2**20  # of small models, whose time is not in their operations
# Windows that wait to be embedded, and to be written: one each, for each is memory.
WINDOWS_AHEAD: Final = 1
# What a window's rows may take as they are read, and a row group's as they wait to be written.
MAX_READ_BYTES: Final = 64 * 1024**2
MAX_ROW_GROUP_BYTES: Final = 128 * 1024**2
# From how many operations a graph for each shape of batch pays, by padding; 3e11 take a second on
# two cores. A graph takes a second to make and saves a twentieth of a narrow model's time, and less
# of a wide one's; bucket padding has up to twenty.
COMPILING_PAYS_OPERATIONS: Final = {"max": 2e12, "bucket": 2e13}
TYPICAL_TOKENS: Final = 32  # of a row, where what it has is not known yet
# Ten minutes or more: trying batch sizes takes some ten seconds.
TUNING_PAYS_OPERATIONS: Final = {"cpu": 2e14, "gpu": 2e16}
# A part of an output in parts: of a size that readers like, and of ten minutes of work at most,
# which is what is done again where a worker is lost.
PART_BYTES: Final = 256 * 1024**2
PART_OPERATIONS: Final = 2e14
MOST_PARTS_OF_SMALL: Final = 16  # so that a job for minutes still divides among workers
# Text formats are read, checked and turned into Arrow in blocks of whole lines.
LINE_BLOCK_BYTES: Final = 8 * 1024**2
MAX_LINE_BYTES: Final = 256 * 1024**2
# A record of CSV may have many lines. The parser holds four bytes a character of a field, and a
# quote that is never closed would make the rest of the file one field.
MAX_RECORD_BYTES: Final = 32 * 1024**2
MAX_RECORDS_PARSED: Final = 65_536
PROGRESS_SECONDS: Final = 5.0
