"""Who may ask: each rule alone, as a table of heads of requests."""

import hashlib

import msgspec
import pytest
from starlette.datastructures import Headers

from ghostfleet.config.loaded import Admin, AdminToken
from ghostfleet.domain.operators import Token
from ghostfleet.domain.values import Hash
from ghostfleet.http.access import Access, Refusal, Role, host_name, is_local, same_origin
from ghostfleet.http.lockout import MAX_FAILURES

OPERATOR, VIEWER = "operator-token", "viewer-token"
TOKENS = (
    AdminToken(name="ada", role="operator", sha256=hashlib.sha256(OPERATOR.encode()).digest()),
    AdminToken(name="vic", role="viewer", sha256=hashlib.sha256(VIEWER.encode()).digest()),
)


class Clock:
    """Set by hand."""

    us = 1_767_225_600_000_000

    def now_us(self) -> int:
        return self.us


def access(made: tuple[Token, ...] = (), **changes: object) -> Access:
    admin = Admin(
        host="127.0.0.1",
        port=8080,
        loopback=True,
        tokens=(),
        require_token_on_loopback=False,
        allowed_hosts=("fleet.example",),
    )
    return Access(msgspec.structs.replace(admin, **changes), lambda: made, Clock())


def made(name: str, role: str, expires_us: int | None = None) -> Token:
    """A token of the log that is its own name."""
    digest = Hash(hashlib.sha256(name.encode()).digest())
    return Token(name=name, role=role, sha256=digest, expires_us=expires_us, created_us=0, created_by="local")


def ask(
    rules: Access, needs: Role = "operator", client: str = "127.0.0.1", host: str | None = "localhost:8080", **more: str
) -> tuple[str, str]:
    """Actor and role, for a request with these headers (underscores for dashes)."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    if host is not None:
        headers["host"] = host
    caller = rules.check(Headers(headers), client, needs)
    return caller.actor, caller.role


def refused(rules: Access, *args: object, **more: object) -> int:
    with pytest.raises(Refusal) as raised:
        ask(rules, *args, **more)  # type: ignore[arg-type]
    return raised.value.status


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_from_the_machine_itself_no_credential_is_needed(client: str) -> None:
    assert ask(access(), client=client) == ("local", "operator")


@pytest.mark.parametrize("client", ["10.0.0.7", "::ffff:10.0.0.7", "172.17.0.1", "fe80::1", "", "localhost"])
def test_from_elsewhere_a_credential_is_needed(client: str) -> None:
    assert refused(access(), "viewer", client) == 401
    assert ask(access(), "public", client) == ("anonymous", "public")


def test_once_a_credential_is_configured_the_machine_itself_needs_one_too() -> None:
    rules = access(tokens=TOKENS)
    assert refused(rules) == 401
    assert refused(rules, "viewer") == 401
    assert ask(rules, authorization=f"Bearer {OPERATOR}") == ("ada", "operator")
    assert refused(access(require_token_on_loopback=True), "viewer") == 401


@pytest.mark.parametrize("header", ["forwarded", "x_forwarded_for", "x_forwarded_host", "x_real_ip", "via"])
def test_what_comes_through_a_proxy_is_not_from_the_machine_itself(header: str) -> None:
    assert refused(access(), **{header: "127.0.0.1"}) == 401


@pytest.mark.parametrize("client", ["127.0.0.1", "unix:1000"])
def test_what_a_proxy_asks_that_says_nothing_of_itself_is_not_from_the_machine_itself(client: str) -> None:
    """nginx as it comes: HTTP/1.0, no header of its own, and as Host the address of its upstream."""
    head = Headers({"host": "127.0.0.1:8080", "connection": "close"})
    for needs in ("viewer", "operator"):
        with pytest.raises(Refusal) as raised:
            access().check(head, client, needs, "1.0")
        assert raised.value.status == 401
    assert access().check(head, client, "public", "1.0").actor == "anonymous"
    assert access().check(head, client, "operator", "1.1").actor == "local"


def test_a_configured_name_is_not_the_machine_itself() -> None:
    assert refused(access(), host="fleet.example") == 401


def test_a_viewer_may_look_and_not_command() -> None:
    rules = access(tokens=TOKENS)
    assert ask(rules, "viewer", authorization=f"Bearer {VIEWER}") == ("vic", "viewer")
    with pytest.raises(Refusal) as raised:
        ask(rules, "operator", authorization=f"Bearer {VIEWER}")
    assert raised.value.status == 403
    assert raised.value.actor == "vic"


@pytest.mark.parametrize(
    "presented",
    [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        f"Basic {OPERATOR}",
        OPERATOR,
        f"Bearer {OPERATOR}x",
        "Bearer \udcff",
        "B" * 9000,
    ],
)
def test_a_credential_that_is_presented_has_to_be_right(presented: str) -> None:
    class Given(Headers):
        def getlist(self, key: str) -> list[str]:
            return [presented] if key == "authorization" else super().getlist(key)

    for rules in (access(), access(tokens=TOKENS)):
        with pytest.raises(Refusal) as raised:
            rules.check(Given({"host": "localhost"}), "127.0.0.1", "public")
        assert raised.value.status == 401
        assert OPERATOR not in raised.value.detail


def test_two_credentials_are_none() -> None:
    raw = [(b"host", b"localhost"), (b"authorization", f"Bearer {OPERATOR}".encode()), (b"authorization", b"Bearer x")]
    with pytest.raises(Refusal):
        access(tokens=TOKENS).check(Headers(raw=raw), "127.0.0.1", "viewer")


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "fleet.example",
     "Fleet.Example:443", "localhost."],
)  # fmt: skip
def test_hosts_of_ours(host: str) -> None:
    assert ask(access(tokens=TOKENS), host=host, authorization=f"Bearer {OPERATOR}")[0] == "ada"


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@evil.example", "evil.example#localhost",
     "localhost:80:80", "localhost:port", "localhost:", "[::1", "0.0.0.0", "::1", "[::2]", "localhost evil", "localhost,evil",
     "127.1", "2130706433", "localhost/evil", "localhost:99999"],
)  # fmt: skip
def test_other_hosts_are_refused_even_with_a_credential(host: str | None) -> None:
    rules = access(tokens=TOKENS)
    assert refused(rules, "public", host=host, authorization=f"Bearer {OPERATOR}") == 403


def test_two_hosts_are_refused() -> None:
    with pytest.raises(Refusal):
        access().check(Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")]), "127.0.0.1", "public")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost:3000", "null", "http://localhost", "http://localhost:8080.evil.example",
     "http://evil.example/http://localhost:8080", "", "file://", "localhost:8080"],
)  # fmt: skip
def test_a_page_of_another_site_is_refused_whatever_it_asks(origin: str) -> None:
    for needs in ("public", "viewer", "operator"):
        assert refused(access(), needs, origin=origin) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "anything"])
def test_what_a_browser_calls_cross_site_is_refused(site: str) -> None:
    assert refused(access(), "public", sec_fetch_site=site) == 403


def test_our_own_page_and_a_typed_address_may_ask() -> None:
    assert ask(access(), origin="http://localhost:8080", sec_fetch_site="same-origin") == ("local", "operator")
    assert ask(access(), "viewer", sec_fetch_site="none") == ("local", "operator")


def test_tokens_of_the_log_count_like_those_of_the_settings() -> None:
    rules = access((made("eve", "operator"),))
    assert refused(rules) == 401, "the machine itself needs one too"
    assert ask(rules, authorization="Bearer eve") == ("eve", "operator")
    assert ask(access((made("eve", "operator"),), tokens=TOKENS), authorization=f"Bearer {OPERATOR}")[0] == "ada"
    assert refused(access((made("eve", "auditor"),)), "viewer", authorization="Bearer eve") == 401, "an unknown role"


def test_a_token_is_valid_until_its_end_and_not_at_it() -> None:
    for end, status in ((Clock.us + 1, None), (Clock.us, 401), (0, 401)):
        rules = access((made("eve", "operator", end),))
        assert (refused(rules, authorization="Bearer eve") if status else None) == status
    old = msgspec.structs.replace(TOKENS[0], expires_us=Clock.us)
    assert refused(access(tokens=(old,)), authorization=f"Bearer {OPERATOR}") == 401
    assert refused(access(tokens=(old,))) == 401, "an expired token keeps the loopback closed"


def test_the_socket_is_the_machine_itself_and_its_mode_the_credential() -> None:
    assert ask(access(tokens=TOKENS), client="unix:1000") == ("local", "operator")
    assert refused(access(tokens=TOKENS, require_token_on_loopback=True), client="unix:1000") == 401
    assert refused(access(), client="unix:1000", via="1.1 proxy") == 401
    assert refused(access(), client="unix:1000", host="evil.example") == 403


@pytest.mark.parametrize("client", ["unixx", "unix.example", "UNIX:0", "127.0.0.1:unix"])
def test_what_only_looks_like_the_socket_is_not(client: str) -> None:
    assert refused(access(tokens=TOKENS), client=client) == 401


def test_a_lock_out_is_told_once_and_holds_for_its_place_alone() -> None:
    rules = access(tokens=TOKENS)
    refusals = [_refusal(rules, "10.0.0.7", "Bearer guess") for _ in range(MAX_FAILURES + 2)]
    assert [it.status for it in refusals] == [401] * MAX_FAILURES + [429] * 2
    assert [it.lockout is not None for it in refusals] == [False] * (MAX_FAILURES - 1) + [True, False, False]
    assert _refusal(rules, "10.0.0.7", f"Bearer {OPERATOR}").status == 429
    for elsewhere in ("10.0.0.8", "127.0.0.1", "unix:1000"):
        assert ask(rules, client=elsewhere, authorization=f"Bearer {OPERATOR}")[0] == "ada"
    assert ask(rules, "public", "10.0.0.7") == ("anonymous", "public")


def _refusal(rules: Access, client: str, credential: str) -> Refusal:
    with pytest.raises(Refusal) as raised:
        ask(rules, client=client, authorization=credential)
    return raised.value


@pytest.mark.parametrize("token", ["Schlüssel-der-Brücke", "zu-Ende-à", "鍵"])
def test_a_token_is_the_bytes_whose_hash_is_configured(token: str) -> None:
    """`printf %s TOKEN | sha256sum` hashes the terminal's bytes, and those are what curl sends."""
    given = AdminToken(name="ada", role="operator", sha256=hashlib.sha256(token.encode()).digest())
    head = Headers(raw=[(b"host", b"localhost"), (b"authorization", b"Bearer " + token.encode())])
    assert access(tokens=(given,)).check(head, "127.0.0.1", "operator").actor == "ada"


def test_pure_rules() -> None:
    assert host_name("[::1]:80") == "::1"
    assert same_origin("http://a:1", "A:1")
    assert not is_local(Headers({"via": "1.1 proxy"}), "127.0.0.1", "1.1")
