"""The terminal view without a terminal: what is on its screen, as text."""

from ops.top.app import TopApp


def text_of(app: TopApp) -> str:
    """The screen's lines, without what is blank at their ends."""
    strips = app.screen._compositor.render_strips()  # noqa: SLF001 - textual has no other way to text
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)
