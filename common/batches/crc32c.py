"""CRC-32C, the checksum of record batches."""

import google_crc32c
from aiokafka.record.util import calc_crc32c


def _by_instruction(data: memoryview) -> int:
    # It accepts only bytes. The copy costs a tenth of a checksum by tables.
    checksum: int = google_crc32c.value(bytes(data))
    return checksum


# 1,000 bytes take 0.08 µs where the processor has an instruction for it and the library was built to use it, and 0.75
# µs by aiokafka's tables.
crc32c = _by_instruction if google_crc32c.implementation == "c" else calc_crc32c
