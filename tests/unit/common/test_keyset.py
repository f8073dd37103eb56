import pytest
from callcluster_common import keyset
from callcluster_common.keyset import Key, KeySet, KeySetError
from hypothesis import given
from hypothesis import strategies as st

SECRET = "s" * 40

kids = st.text("abcxyz0189", min_size=1, max_size=16)
secrets = st.text("abcXYZ019_-", min_size=32, max_size=40)
keys = st.lists(st.builds(Key, kids, secrets), min_size=1, max_size=4, unique_by=lambda key: key.kid)
keysets = keys.flatmap(
    lambda some: st.sampled_from(some).map(lambda mint: KeySet(mint=mint.kid, keys=tuple(some)))
)


@given(keysets)
def test_a_key_set_survives_its_encoding(some: KeySet) -> None:
    assert keyset.parse(keyset.encode(some)) == some
    assert keyset.encode(some) == keyset.encode(keyset.parse(keyset.encode(some)))


@given(keysets)
def test_the_fingerprint_does_not_depend_on_the_order_of_keys(some: KeySet) -> None:
    assert keyset.fingerprint(some) == keyset.fingerprint(KeySet(some.mint, tuple(reversed(some.keys))))


@given(keysets, keysets)
def test_different_sets_have_different_fingerprints(one: KeySet, other: KeySet) -> None:
    same = (one.mint, set(one.keys)) == (other.mint, set(other.keys))
    assert (keyset.fingerprint(one) == keyset.fingerprint(other)) == same


@given(keysets)
def test_no_secret_shows_in_a_representation(some: KeySet) -> None:
    assert not any(key.secret in repr(some) for key in some.keys)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "key set"),
        (b"[]", "object"),
        (b'{"mint":"a","keys":[]}', "mint 'a' is not among"),
        (b'{"mint":"a","keys":[{"kid":"a","secret":"short"}]}', r"keys\[0\].secret"),
        (b'{"mint":"a","keys":[{"kid":"a","secret":"%b\\n"}]}' % SECRET.encode(), r"keys\[0\].secret"),
        (b'{"mint":"a\\n","keys":[{"kid":"a\\n","secret":"%b"}]}' % SECRET.encode(), r"keys\[0\].kid"),
        (
            b'{"mint":"a","keys":[{"kid":"a","secret":"%b"},{"kid":"a","secret":"%b"}]}'
            % (SECRET.encode(), SECRET.encode()),
            "ids repeat",
        ),
    ],
)
def test_an_unusable_set_is_refused_with_its_reason(data: bytes, says: str) -> None:
    with pytest.raises(KeySetError, match=says):
        keyset.parse(data)


def test_a_refusal_does_not_show_the_secret() -> None:
    canary = "CANARY!" * 6
    with pytest.raises(KeySetError) as refusal:
        keyset.parse(f'{{"mint":"a","keys":[{{"kid":"a","secret":"{canary}"}}]}}')
    assert "CANARY" not in str(refusal.value)
    assert refusal.value.__suppress_context__
