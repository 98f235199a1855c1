"""Records one by one, as the stretches that a batch of them is read as."""

from collections.abc import Iterable

from common.batches.record_runs import Single, Stretch


def stretched(records: Iterable[Single]) -> list[Stretch | Single]:
    parts: list[Stretch | Single] = []
    for record in records:
        before = parts[-1] if parts else None
        if record.headers:
            parts.append(record)
        elif (
            isinstance(before, Stretch)
            and before.key == record.key
            and before.offset + len(before.rows) == record.offset
        ):
            before.rows.append(record.value)
        else:
            parts.append(Stretch(record.offset, record.key, [record.value]))
    return parts
