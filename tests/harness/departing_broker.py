"""`nacre` whose broker gets a signal once a rejected row is read: `… departing_broker PID SIGNAL ARGUMENTS`."""

import os
import sys
from typing import Any
from unittest import mock

from common.protocol.rejections import decode_rejection
from ops.__main__ import main

# Instead of half a minute.
_SILENCE_S = 2.0

if __name__ == "__main__":
    broker, number, *arguments = sys.argv[1:]
    signals = [int(number)]

    def decode(*record: Any) -> object:
        """Send the broker the signal, once."""
        if signals:
            os.kill(int(broker), signals.pop())
        return decode_rejection(*record)

    with (
        mock.patch("ops.rejected.replay.decode_rejection", decode),
        mock.patch("ops.rejected.replay._SILENCE_S", _SILENCE_S, create=True),
    ):
        sys.exit(main(arguments))
