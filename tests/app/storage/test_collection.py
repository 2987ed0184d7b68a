"""What every store offers to whoever collects objects that nobody needs any more."""

from app.storage import StoredObject
from tests.app.storage.conftest import TENANT, Stored

ABSENT = "0" * 64
CLOCKS_DIFFER_SECONDS = 60


def test_every_object_of_every_tenant_is_listed(stored: Stored) -> None:
    assert list(stored.store.objects()) == []
    put = {(TENANT, stored.put(b"x"), 1), (TENANT, stored.put(b"yy"), 2), ("other", stored.put(b"x", "other"), 1)}
    found = list(stored.store.objects())
    assert {(each.tenant_id, each.sha256, each.bytes) for each in found} == put
    assert all(abs(each.age_seconds) < CLOCKS_DIFFER_SECONDS for each in found)


def test_what_is_not_an_object_is_not_listed(stored: Stored) -> None:
    stored.put(b"x")
    key = stored.backing.keys()[0]
    stored.backing.overwrite(f"{key}.txt", b"a note")
    stored.backing.overwrite(key[:-1], b"a short name")
    stored.store.uploads.begin(tenant_id=TENANT, upload_id="upl_1")
    assert [each.bytes for each in stored.store.objects()] == [1]


def test_a_young_object_is_left_alone(stored: Stored) -> None:
    sha256 = stored.put(b"x")
    assert not stored.store.delete_older(3600, tenant_id=TENANT, sha256=sha256)
    assert stored.read(sha256) == b"x"


def test_an_old_object_is_removed_once(stored: Stored) -> None:
    sha256 = stored.put(b"x")
    assert stored.store.delete_older(-CLOCKS_DIFFER_SECONDS, tenant_id=TENANT, sha256=sha256)
    assert not stored.store.delete_older(-CLOCKS_DIFFER_SECONDS, tenant_id=TENANT, sha256=sha256)
    assert stored.backing.keys() == []
    assert stored.backing.unfinished() == []


def test_an_absent_object_is_not_removed(stored: Stored) -> None:
    assert not stored.store.delete_older(0, tenant_id=TENANT, sha256=ABSENT)


def test_a_listed_object_names_what_to_delete(stored: Stored) -> None:
    stored.put(b"x")
    (found,) = stored.store.objects()
    assert isinstance(found, StoredObject)
    stored.store.delete(tenant_id=found.tenant_id, sha256=found.sha256)
    assert list(stored.store.objects()) == []
