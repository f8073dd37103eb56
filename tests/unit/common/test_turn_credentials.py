from callcluster_common.keyset import Key
from callcluster_common.turn_credentials import mint, password

KEY = Key(kid="k1", secret="north-" * 8)


def test_the_password_is_what_coturn_computes() -> None:
    # openssl: printf '1433895918:alice' | openssl dgst -binary -sha1 -hmac 'logen' | base64
    assert password("logen", "1433895918:alice") == "M8GOvU2ttFG+vjtQZ73XkUZ1sJc="


def test_the_user_name_shows_its_expiry_and_its_key() -> None:
    username, _ = mint(KEY, "user-1", 1_900_000_000)
    expiry, _, rest = username.partition(":")
    assert expiry == "1900000000"
    assert rest.startswith("k1.")


def test_the_user_name_does_not_show_the_subject() -> None:
    username, secret = mint(KEY, "alice@example.org", 1_900_000_000)
    assert "alice" not in username + secret


def test_one_subject_has_one_name_so_that_its_quota_holds() -> None:
    names = {mint(KEY, "alice", expires)[0].partition(":")[2] for expires in range(5)}
    assert len(names) == 1
