"""Text that others wrote, made fit for a terminal, which would obey what it does not show."""


def printable(text: str) -> str:
    """The text on one line, each character that is not seen as its escape."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
