"""API keys live in URLs: what is shown of an endpoint holds none of them."""

from base64 import b64encode
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.chain.endpoints import Endpoint, EndpointConfig, public_name

KEY = "s3cr3tK3y0123456789"


@pytest.mark.parametrize(
    "url",
    [
        f"https://rpc.example/v3/{KEY}",
        f"https://{KEY}@rpc.example/",
        f"https://user:{KEY}@rpc.example:8545/",
        f"https://rpc.example/?apikey={KEY}",
        f"https://rpc.example/#{KEY}",
        f"https://rpc.example/rpc;{KEY}",
        f"http://[::1/{KEY}",
        f"https://rpc.example:x/{KEY}",
    ],
)
def test_neither_name_nor_repr_nor_a_scrubbed_message_holds_the_key(url: str) -> None:
    endpoint = Endpoint(EndpointConfig(name=public_name(url), url=url), lambda *_: None)
    shown = endpoint.name + repr(EndpointConfig(name=endpoint.name, url=url)) + endpoint.scrub(f"{url} is bad: {KEY}")
    if "x/" not in url and "[::1/" not in url:
        assert endpoint.name.startswith("rpc.example")
    assert KEY not in shown


def test_a_header_that_a_node_repeats_is_hidden_as_well() -> None:
    for user, password in (("user", KEY), (KEY, ""), ("us%20er", "p%C3%A9%40ss")):
        endpoint = Endpoint(EndpointConfig(name="a", url=f"https://{user}:{password}@rpc.example/"), lambda *_: None)
        login = f"{unquote(user)}:{unquote(password)}"
        for sent in (b64encode(login.encode()).decode(), b64encode(login.encode("latin-1")).decode()):
            assert sent[:12] not in endpoint.scrub(f"Authorization: Basic {sent}")


def test_a_credential_that_was_cut_to_length_is_hidden_as_well() -> None:
    endpoint = Endpoint(EndpointConfig(name="a", url=f"https://rpc.example/v3/{KEY}"), lambda *_: None)
    for length in range(5, len(KEY)):
        assert KEY[:5] not in endpoint.scrub(f"no project {KEY[:length]}")
    assert endpoint.scrub("no project") == "no project"


def test_two_keys_at_one_provider_have_two_names() -> None:
    assert public_name("https://rpc.example/v3/aaaaaaaaaaaa") != public_name("https://rpc.example/v3/bbbbbbbbbbbb")


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_a_name(url: str) -> None:
    assert public_name(url)
    assert Endpoint(EndpointConfig(name="a", url=url), lambda *_: None).scrub("well") is not None
