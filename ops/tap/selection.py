"""Which rows are asked for. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from ops.tap.origins import Origin, Stage

# By option: the topics whose rows it can be asked of.
_ASKED_OF = {
    "split": (Stage.CATEGORIZED, Stage.REJECTED),
    "category": (Stage.CATEGORIZED,),
    "code": (Stage.REJECTED,),
}


class Selection(Struct, frozen=True):
    """What rows must have, None for anything; `source` may be the end of a path, `category` also a whole key."""

    source: str | None = None
    split: str | None = None
    category: str | None = None
    code: str | None = None

    def __call__(self, origin: Origin) -> bool:
        """Whether rows of this origin are asked for."""
        return (
            (self.source is None or _is_named(origin.source, self.source))
            and self.split in {None, origin.split}
            and self.code in {None, origin.code}
            # None is also what a split without columns has, so only a text may match.
            and (self.category is None or self.category in {origin.category, origin.key})
        )

    def stages(self, named: Sequence[Stage]) -> tuple[Stage, ...]:
        """The topics to read: those that are named, else the first that has what is asked for.

        ValueError, one line, where a topic that is named does not have it.
        """
        asked = [option for option in _ASKED_OF if getattr(self, option) is not None]
        fitting = [stage for stage in Stage if all(stage in _ASKED_OF[option] for option in asked)]
        if not fitting:
            raise ValueError(f"no topic has rows to be asked for {' and '.join(f'--{each}' for each in asked)}")
        for stage in named:
            if stage not in fitting:
                option = next(each for each in asked if stage not in _ASKED_OF[each])
                raise ValueError(f"--{option}: rows of {stage} have none; those of {fitting[0]} do")
        return tuple(dict.fromkeys(named)) or (fitting[0],)


def _is_named(source: str | None, given: str) -> bool:
    return source is not None and (source == given or source.endswith(f"/{given}"))
