import json
from pathlib import Path

import pytest
from lowbit import NoConnection
from lowbit.discovery import Connection, locate, service_file


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowbit.discovery.user_state_dir", lambda _: str(tmp_path / "state"))
    monkeypatch.delenv("LOWBIT_URL", raising=False)
    monkeypatch.delenv("LOWBIT_TOKEN", raising=False)
    monkeypatch.delenv("LOWBIT_DATA_DIR", raising=False)


@pytest.fixture
def local_service(tmp_path: Path) -> None:
    key = tmp_path / "admin.key"
    key.write_text("local-key\n")
    service_file().parent.mkdir(parents=True)
    note = {"url": "http://127.0.0.1:8123", "key_file": str(key), "pid": 1, "data_dir": str(tmp_path)}
    service_file().write_text(json.dumps(note))


def test_nothing_known_says_what_to_do() -> None:
    with pytest.raises(NoConnection, match=r"lowbit serve.*LOWBIT_URL and LOWBIT_TOKEN"):
        locate()


@pytest.mark.usefixtures("local_service")
def test_the_service_on_this_machine_is_found_with_its_key() -> None:
    assert locate() == Connection("http://127.0.0.1:8123", "local-key")


@pytest.mark.usefixtures("local_service")
def test_a_data_directory_that_is_named_is_that_of_the_service_or_none_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never another one, which happens to run as well."""
    monkeypatch.setenv("LOWBIT_DATA_DIR", str(tmp_path / "other"))
    with pytest.raises(NoConnection, match=r"data directory .*other: there is no .*other/service\.json"):
        locate()
    note = {"url": "http://127.0.0.1:9", "key_file": str(tmp_path / "admin.key")}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "service.json").write_text(json.dumps(note))
    assert locate() == Connection("http://127.0.0.1:9", "local-key")
    monkeypatch.setenv("LOWBIT_URL", "http://env.test")
    assert locate() == Connection("http://env.test", None)


@pytest.mark.usefixtures("local_service")
def test_the_environment_comes_before_the_local_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWBIT_URL", "http://env.test/")
    monkeypatch.setenv("LOWBIT_TOKEN", "env-key")
    assert locate() == Connection("http://env.test", "env-key")


@pytest.mark.usefixtures("local_service")
def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWBIT_URL", "http://env.test")
    monkeypatch.setenv("LOWBIT_TOKEN", "env-key")
    assert locate("http://argument.test", "argument-key") == Connection("http://argument.test", "argument-key")


@pytest.mark.usefixtures("local_service")
def test_the_local_key_never_goes_to_another_address() -> None:
    assert locate("http://elsewhere.test").token is None


@pytest.mark.usefixtures("local_service")
def test_the_local_key_goes_to_the_local_address_however_it_was_named() -> None:
    assert locate("http://127.0.0.1:8123/").token == "local-key"


@pytest.mark.usefixtures("local_service")
def test_an_own_key_may_be_used_with_the_local_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWBIT_TOKEN", " my-key\n")
    assert locate() == Connection("http://127.0.0.1:8123", "my-key")


@pytest.mark.usefixtures("local_service")
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.key").unlink()
    with pytest.raises(NoConnection, match=r"admin\.key"):
        locate()


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"url": "http://x", "key_file": 3}'])
def test_a_damaged_note_reads_as_none(note: str) -> None:
    service_file().parent.mkdir(parents=True)
    service_file().write_text(note)
    with pytest.raises(NoConnection):
        locate()


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(NoConnection) as refusal:
        locate("http://service.test", key)
    assert key not in str(refusal.value)


def test_the_key_is_not_part_of_the_representation() -> None:
    assert "secret" not in repr(Connection("http://service.test", "secret"))
