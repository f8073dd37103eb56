import pytest
from callcluster_common.environment import Environment, SettingError


def test_an_empty_value_counts_as_absent() -> None:
    assert Environment({"PORT": ""}).integer("PORT", 3000) == 3000


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x", "PORT must be a whole number from 1 to 65535, not 'x'"),
        ("0", "from 1 to 65535"),
        ("70000", "65535"),
    ],
)
def test_a_bad_number_is_named_with_what_is_expected(value: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        Environment({"PORT": value}).integer("PORT", 3000, low=1, high=65535)


def test_a_missing_required_setting_is_named() -> None:
    with pytest.raises(SettingError, match="JWT_SECRET is required"):
        Environment({}).text("JWT_SECRET")


@pytest.mark.parametrize(("value", "meaning"), [("true", True), ("FALSE", False), ("", True)])
def test_flags_are_true_or_false(value: str, meaning: bool) -> None:
    assert Environment({"GUEST_ACCESS": value}).flag("GUEST_ACCESS", True) is meaning


def test_a_flag_that_is_neither_is_refused() -> None:
    with pytest.raises(SettingError, match="GUEST_ACCESS must be true or false, not 'yes'"):
        Environment({"GUEST_ACCESS": "yes"}).flag("GUEST_ACCESS", False)


def test_lists_are_separated_by_commas_or_spaces() -> None:
    assert Environment({"A": "x, y z"}).words("A") == ("x", "y", "z")
    assert Environment({}).words("A", "*") == ("*",)
