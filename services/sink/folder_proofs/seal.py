"""Whether a partition's files are final, as its ledger says: once all are, the files about the folder can be written.

A finite run seals each partition at its end, when every row is durable and every file that is to be finished is in
place. Before anything is appended to a sealed partition, what was written of its files is taken back.
"""

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

from common.protocol.output_folder import OF_THE_FOLDER, SUCCESS
from services.sink.folder_proofs.renaming import take_back
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes
from services.sink.ledger.inventory import facts_of
from services.sink.threads import in_thread

# The name of the fact in a ledger.
_RUN = "run"


class SealState(StrEnum):
    """How a partition is filled."""

    # By a finite run that has not ended.
    OPEN = ""
    # By a service, which never ends.
    SERVICE = "service"
    SEALED = "sealed"
    # What was written of its files may not be taken back yet.
    LIFTING = "lifting"


def seal_state_of(ledger: Path) -> SealState:
    """The state in a partition's ledger, which another sink may have open."""
    return SealState(facts_of(ledger).get(_RUN, ""))


class Seal:
    """The seal of one partition that this sink holds. The ledger is used in `thread`.

    `rolls`: its files are finished by rolling, so no manifest names one that grows. In format 1 none `is_kept`.
    """

    def __init__(self, root: Path, ledger: Ledger, thread: ThreadPoolExecutor, *, rolls: bool, is_kept: bool) -> None:
        self._root = root
        self._ledger = ledger
        self._thread = thread
        self._names = (SUCCESS,) if rolls else OF_THE_FOLDER
        self._is_kept = is_kept
        self._state = SealState.OPEN

    async def take_up(self, *, is_finite: bool) -> None:
        """Go on from the ledger, in a finite run or as a service. A finite run leaves the seal as it is."""
        if not self._is_kept:
            return
        facts = await in_thread(self._thread, self._ledger.facts)
        self._state = SealState(facts.get(_RUN, ""))
        if not is_finite:
            await self._lift(SealState.SERVICE)
        elif self._state is SealState.SERVICE:
            await self._enter(SealState.OPEN)

    async def seal(self) -> None:
        """Say that everything is final: nothing of it is under way."""
        if self._is_kept and self._state is not SealState.SEALED:
            await self._enter(SealState.SEALED)

    async def lift(self) -> None:
        """Take back what was written of its files, before anything is appended."""
        if self._state in (SealState.SEALED, SealState.LIFTING):
            await self._lift(SealState.OPEN)

    async def _lift(self, to: SealState) -> None:
        if self._state is SealState.SEALED:
            # First: a sink that writes about the folder now either sees this state or finds its files removed.
            await self._enter(SealState.LIFTING)
        if self._state is SealState.LIFTING:
            await in_thread(self._thread, take_back, self._root, self._names)
        if self._state is not to:
            await self._enter(to)

    async def _enter(self, state: SealState) -> None:
        await in_thread(self._thread, self._ledger.commit, {_RUN: state.value}, Changes([]))
        self._state = state
