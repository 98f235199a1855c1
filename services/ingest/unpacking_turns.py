"""Which compressed sources are read at the same time: an unpacker may hold much memory, and there may be thousands."""

from services.ingest.followed_file import FollowedFile

_MAX_UNPACKING = 4


class UnpackingTurns:
    """The compressed sources of one partition that are being read."""

    def __init__(self) -> None:
        self._unpacking: set[FollowedFile] = set()

    def may_unpack(self, followed: FollowedFile) -> bool:
        """Whether it is this file's turn."""
        self._unpacking = {other for other in self._unpacking if other.is_unpacking}
        if len(self._unpacking) < _MAX_UNPACKING:
            self._unpacking.add(followed)
        return followed in self._unpacking
