"""When a receipt says the same as the one that is out."""

import pytest
from msgspec.structs import replace

from common.protocol.receipts import Receipt, Rejections, encode_receipt, fingerprint
from common.rows.tally import tally

RECEIPT = Receipt("/a.csv", 1, 9, tally([b"M"]), "csv", Rejections(), {}, 7, 1, 1, "cluster", "folder", "1.0")


@pytest.mark.parametrize("source", ["/a.csv", '/"nacre":.csv'])
def test_a_receipt_by_another_version_says_the_same_and_any_other_does_not(source: str) -> None:
    receipt = replace(RECEIPT, source=source)
    said = fingerprint(encode_receipt(receipt))
    assert fingerprint(encode_receipt(replace(receipt, nacre="2.0"))) == said
    others = [{"number": 2}, {"safe_ms": 8}, {"rejected": Rejections({"fields": 1})}, {"folder": "other"}]
    for changed in others:
        assert fingerprint(encode_receipt(replace(receipt, **changed))) != said  # type: ignore[arg-type]
