import os
import signal

import pytest

from ops.kafka.deferred_signals import deferred_signals


def test_a_signal_comes_at_the_end_of_the_block_and_not_before() -> None:
    came: list[str] = []

    def work() -> None:
        with deferred_signals():
            os.kill(os.getpid(), signal.SIGINT)
            came.append("the end of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert came
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_without_a_python_handler_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with deferred_signals():
        assert signal.getsignal(signal.SIGHUP) is before
