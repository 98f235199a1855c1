"""The project's pages: what people read before the code."""

from tests.harness.pipeline import PROJECT

# A change log uses the names of its time.
PAGES = sorted(
    page.relative_to(PROJECT).as_posix()
    for page in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]
    if page.name != "CHANGELOG.md"
)


def text_of(page: str) -> str:
    """The page's source text."""
    return (PROJECT / page).read_text()
