from common.batches.plain import append_rows as append_rows
from common.batches.plain import parse_batch as parse_batch
