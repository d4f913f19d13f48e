"""Two rows that differ anywhere have different hashes, and both ways of computing one agree."""

from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.store.projections import Final, Mined, Registered, Reopened, Signed, Superseded, waves
from ghostfleet.store.rows import GENESIS, EventRow, chain_hash, hash_of, text_of

texts = st.text(st.characters(codec="utf-8"), max_size=6)
rows = st.builds(
    EventRow,
    st.integers(0, 2**63),
    texts,
    st.integers(0, 9),
    texts,
    st.integers(0, 9),
    st.integers(0, 1),
    st.integers(0, 9),
    texts,
    texts,
    st.just(GENESIS),
)


@given(rows, rows)
def test_only_equal_rows_have_equal_hashes(one: EventRow, other: EventRow) -> None:
    assert (hash_of(GENESIS, one) == hash_of(GENESIS, other)) == (one == other)


@given(texts, texts, texts, texts)
def test_text_moved_from_one_column_to_the_next_changes_the_hash(a: str, b: str, c: str, d: str) -> None:
    moved = EventRow(1, a + b, 1, c, 1, 1, 1, d, "", GENESIS)
    unmoved = EventRow(1, a, 1, b + c, 1, 1, 1, d, "", GENESIS)
    assert (hash_of(GENESIS, moved) == hash_of(GENESIS, unmoved)) == (b == "")


@given(rows)
def test_the_writer_and_the_verifier_agree(row: EventRow) -> None:
    text = text_of(row.stream, row.type, row.correlation, row.payload.encode())
    written = chain_hash(GENESIS, row.position, row.version, row.type_version, row.critical, row.time_us, text)
    assert written == hash_of(GENESIS, row)
    assert hash_of(b"\1" * 32, row) != written


keys = st.sampled_from("abc")
changes = st.one_of(
    st.builds(Registered, keys, st.just(b"")),
    st.builds(Signed, keys, keys, st.just(b""), *(st.just(1),) * 2, st.just("action"), *(st.just(1),) * 2),
    st.builds(Mined, keys, st.just(b""), st.booleans(), st.just(1), st.just(b""), st.just(1), st.just(1)),
    st.builds(Final, keys, st.just(b"")),
    st.builds(Reopened, keys),
    st.builds(Superseded, keys),
)


@given(st.lists(changes, max_size=30))
def test_waves_keep_the_order_within_an_action_and_around_a_registration(given: list[object]) -> None:
    done = [change for wave in waves(given) for same in wave.values() for change in same]  # type: ignore[arg-type]
    assert sorted(map(repr, done)) == sorted(map(repr, given))
    for key in "abc":
        of_key = [it for it in given if it.key == key and not isinstance(it, Registered)]  # type: ignore[attr-defined]
        assert [it for it in done if it.key == key and not isinstance(it, Registered)] == of_key
    for wave in waves(given):  # type: ignore[arg-type]
        assert Registered not in wave or len(wave) == 1, "addresses are read by the attempts after them"
        touched = [change.key for same in wave.values() for change in same]
        assert len(set(touched)) == len(touched), "a statement changes a row once, whichever of two it would be"
