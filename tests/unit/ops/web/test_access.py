import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ops.web.access import Access, Admission, Asked, admit, check_token, is_local, link_to, names_of

TOKEN = "a-token-of-some-length"  # noqa: S105 - a test's own
OPEN = Access(names_of("localhost", "machine", []))
GUARDED = Access(names_of("0.0.0.0", "machine", ["Proxy.Example"]), TOKEN)  # noqa: S104 - it is only judged
ASKED = Asked(("localhost:8080",))


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST:1", "localhost.", "127.0.0.1:8080", "[::1]:8080", "[::1]"]
)
def test_it_answers_to_its_own_name_and_to_addresses(host: str) -> None:
    assert admit(Asked((host,)), OPEN) is Admission.ADMITTED


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("",),
        ("evil.example",),
        ("evil.example:8080",),
        ("localhost.evil.example",),
        ("localhost:8080@evil.example",),
        ("localhost:port",),
        ("machine",),
        ("127.0.0.1.evil.example",),
        ("[::1",),
        ("[::1]evil.example",),
        ("localhost", "evil.example"),
    ],
)
def test_a_name_that_leads_here_but_is_not_ours_is_turned_away(hosts: tuple[str, ...]) -> None:
    assert admit(Asked(hosts), OPEN) is Admission.WRONG_HOST


@pytest.mark.parametrize("host", ["machine:8080", "proxy.example", "192.0.2.1:8080", "localhost"])
def test_one_that_listens_elsewhere_also_goes_by_the_machines_name_and_those_that_are_allowed(host: str) -> None:
    assert admit(Asked((host,), token=TOKEN), GUARDED) is Admission.BY_LINK


def test_another_sites_page_gets_nothing_but_its_links_work() -> None:
    for site in ("cross-site", "same-site"):
        assert admit(replace(ASKED, fetch_site=site, fetch_mode="cors"), OPEN) is Admission.OTHER_SITE
        assert admit(replace(ASKED, fetch_site=site, fetch_mode="no-cors"), OPEN) is Admission.OTHER_SITE
        assert admit(replace(ASKED, fetch_site=site, fetch_mode="navigate"), OPEN) is Admission.ADMITTED
        assert (
            admit(replace(ASKED, fetch_site=site, fetch_mode="navigate", path="/events"), OPEN) is Admission.OTHER_SITE
        )
    assert admit(replace(ASKED, fetch_site="same-origin", fetch_mode="cors"), OPEN) is Admission.ADMITTED


def test_a_token_comes_by_the_link_and_then_as_a_cookie_or_as_a_header() -> None:
    assert admit(ASKED, GUARDED) is Admission.UNPROVEN
    assert admit(replace(ASKED, token=TOKEN), GUARDED) is Admission.BY_LINK
    assert admit(replace(ASKED, cookie=f"a=b; nacre-web={TOKEN}; c=d"), GUARDED) is Admission.ADMITTED
    assert admit(replace(ASKED, cookie=f"nacre-web=old; nacre-web={TOKEN}"), GUARDED) is Admission.ADMITTED
    assert admit(replace(ASKED, authorization=f"Bearer {TOKEN}"), GUARDED) is Admission.ADMITTED
    assert admit(replace(ASKED, cookie=f"other={TOKEN}"), GUARDED) is Admission.UNPROVEN


@given(st.text())
def test_no_other_token_is_taken(token: str) -> None:
    if token != TOKEN:
        assert admit(replace(ASKED, token=token), GUARDED) is Admission.UNPROVEN
        assert admit(replace(ASKED, cookie=f"nacre-web={token}"), GUARDED) is Admission.UNPROVEN
        assert admit(replace(ASKED, authorization=f"Bearer {token}"), GUARDED) is Admission.UNPROVEN


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_a_request_says_there_is_a_judgement(host: str, token: str, cookie: str, authorization: str) -> None:
    assert admit(Asked((host,), token, cookie, authorization), GUARDED) is not Admission.ADMITTED


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.9.9.9"])
def test_a_host_is_local_if_only_this_machine_reaches_it(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "machine", "localhost.example", ""])  # noqa: S104
def test_any_other_host_is_not_local(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in it all", "späßchen-und-mehr-davon", "a;b;c;d;e;f;g;h;i"]
)
def test_a_token_that_can_be_guessed_or_needs_escapes_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=r"it needs 16|it may have"):
        check_token(token)


def test_the_link_is_what_a_person_can_open() -> None:
    check_token(TOKEN)
    assert link_to("localhost", 8080, "") == "http://localhost:8080/"
    assert link_to("0.0.0.0", 80, TOKEN) == f"http://localhost:80/?token={TOKEN}"  # noqa: S104
    assert link_to("::1", 1, "") == "http://[::1]:1/"
    assert link_to("machine", 1, "") == "http://machine:1/"
