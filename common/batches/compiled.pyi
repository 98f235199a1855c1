from common.batches.plain import put_rows as put_rows
from common.batches.plain import stretches as stretches
