"""What is collected and what is not, on a real database and a directory whose objects are made to look old."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.contracts.status import UploadStatus
from app.database import make_engine, make_sessions
from app.files import service as files
from app.files.reception import Reception
from app.garbage.collection import Collector
from app.garbage.found import Garbage
from app.garbage.single_runner import CollectionUnderWay, single_runner
from app.ids import new_id
from app.references import hold, try_to_own
from app.storage import ObjectStore, store_from_url
from app.tables import DEFAULT_TENANT_ID, File, IdempotencyKey, JobStep, Model, ModelFile, Upload
from app.uploads.expiry import expire
from tests.servers.postgres import Database

DAY = 24 * 3600.0
MADE_HERE = ("uploads WHERE filename = 'm'", "files WHERE filename = 'm'", "job_steps", "idempotency_keys")
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A store of its own, and a database that no API runs on: one would collect and expire too."""

    store: ObjectStore
    root: Path
    sessions: async_sessionmaker[AsyncSession]

    @property
    def collector(self) -> Collector:
        return Collector(self.sessions, self.store, grace_seconds=DAY, step_retention_seconds=7 * DAY)

    async def put(self, content: bytes, *, days_old: float = 2) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.root / "file"
        path.write_bytes(content)
        self.store.put_file(path, tenant_id=DEFAULT_TENANT_ID, sha256=sha256)
        (stored,) = self.root.glob(f"objects/t/*/sha256/*/{sha256}")
        then = stored.stat().st_mtime - days_old * DAY
        os.utime(stored, (then, then))
        return sha256

    def has(self, sha256: str) -> bool:
        return self.store.size(tenant_id=DEFAULT_TENANT_ID, sha256=sha256) is not None

    async def collect(self) -> list[Garbage]:
        return [piece async for piece in self.collector.collect()]

    async def look(self) -> list[Garbage]:
        return [piece async for piece in self.collector.find()]

    async def add(self, *rows: Any) -> None:
        async with self.sessions.begin() as session:
            session.add_all(rows)


Scene = Callable[[Callable[[Place], Awaitable[None]]], None]


@pytest.fixture
def scene(quiet_database: Database, tmp_path: Path) -> Scene:
    """Runs a coroutine in a place of its own; what it wrote about garbage is removed afterwards."""

    @asynccontextmanager
    async def place() -> AsyncIterator[Place]:
        engine = make_engine(quiet_database.url)
        sessions = make_sessions(engine)
        try:
            yield Place(store_from_url((tmp_path / "objects").as_uri()), tmp_path, sessions)
        finally:
            async with sessions.begin() as session:
                for mine in MADE_HERE:
                    await session.execute(text(f"DELETE FROM {mine}"))
            await engine.dispose()

    def run(play: Callable[[Place], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with place() as there:
                await play(there)

        asyncio.run(whole())

    return run


def file_of(sha256: str) -> File:
    return File(
        id=new_id("file"),
        tenant_id=DEFAULT_TENANT_ID,
        filename="m",
        purpose="model",
        format="onnx",
        bytes=1,
        sha256=sha256,
    )


def step_of(sha256: str) -> JobStep:
    return JobStep(
        tenant_id=DEFAULT_TENANT_ID, key=f"key of {sha256}", name="calibrate", sha256=sha256, bytes=1, job_id="job_1"
    )


def upload_of(status: UploadStatus, *, sha256: str | None = None) -> Upload:
    return Upload(
        id=new_id("upl"),
        tenant_id=DEFAULT_TENANT_ID,
        filename="m",
        purpose="model",
        bytes=1,
        sha256=sha256,
        part_bytes=1,
        staging_handle="",
        status=status,
        expires_at=text("clock_timestamp() + interval '1 day'"),
    )


def ago(days: float) -> Any:
    return text(f"clock_timestamp() - interval '{days} days'")


def test_only_old_objects_that_nothing_refers_to_go(scene: Scene) -> None:
    async def play(there: Place) -> None:
        garbage, young = await there.put(b"garbage"), await there.put(b"young", days_old=0.9)
        filed, stepped, verifying = [await there.put(content) for content in (b"file", b"step", b"verifying")]
        await there.add(file_of(filed), step_of(stepped), upload_of(UploadStatus.VERIFYING, sha256=verifying))
        looked = await there.look()
        assert [(piece.kind, piece.name, piece.bytes) for piece in looked] == [("object", garbage, 7)]
        assert there.has(garbage)
        assert [piece.name for piece in await there.collect()] == [garbage]
        assert not there.has(garbage)
        assert all(there.has(kept) for kept in (young, filed, stepped, verifying))
        assert await there.collect() == []

    scene(play)


def test_the_files_of_a_model_live_as_long_as_the_model(scene: Scene) -> None:
    async def play(there: Place) -> None:
        uploaded, canonical = await there.put(b"uploaded archive"), await there.put(b"canonical graph")
        file = file_of(uploaded)
        model = Model(id=new_id("mdl"), tenant_id=DEFAULT_TENANT_ID, name="m", file_id=file.id, format="archive")
        of_model = ModelFile(
            tenant_id=DEFAULT_TENANT_ID, model_id=model.id, name="model.onnx", bytes=15, sha256=canonical
        )
        for row in (file, model, of_model):
            await there.add(row)
        assert await there.collect() == []
        async with there.sessions.begin() as session:
            await session.delete(await session.get_one(Model, model.id))
        assert [piece.name for piece in await there.collect()] == [canonical]
        assert (there.has(uploaded), there.has(canonical)) == (True, False)

    scene(play)


def test_another_tenants_reference_keeps_nothing(scene: Scene) -> None:
    async def play(there: Place) -> None:
        sha256 = await there.put(b"shared content")
        other = new_id("tnt")
        async with there.sessions.begin() as session:
            await session.execute(text("INSERT INTO tenants (id, name) VALUES (:id, :id)"), {"id": other})
        foreign = file_of(sha256)
        foreign.tenant_id = other
        await there.add(foreign)
        assert [piece.name for piece in await there.collect()] == [sha256]

    scene(play)


def test_an_object_that_is_referred_to_after_it_was_found_survives(scene: Scene) -> None:
    async def play(there: Place) -> None:
        sha256 = await there.put(b"found, then named")
        pieces = there.collector._unreferenced()
        stored = await anext(pieces)
        await there.add(file_of(sha256))  # in the moment between
        assert stored.sha256 == sha256
        assert not await there.collector._remove(stored)
        assert there.has(sha256)

    scene(play)


def test_an_object_that_was_sent_again_after_it_was_found_survives(scene: Scene) -> None:
    async def play(there: Place) -> None:
        sha256 = await there.put(b"found, then sent again")
        stored = await anext(there.collector._unreferenced())
        await there.put(b"found, then sent again", days_old=0)  # its row is not written yet
        assert not await there.collector._remove(stored)
        assert there.has(sha256)

    scene(play)


def test_an_object_whose_reference_is_being_recorded_survives(scene: Scene) -> None:
    async def play(there: Place) -> None:
        sha256 = await there.put(b"being recorded")
        async with there.sessions() as recording, recording.begin():
            await recording.execute(hold(DEFAULT_TENANT_ID, [sha256]))
            assert await there.collect() == []
            recording.add(file_of(sha256))
        assert await there.collect() == []
        assert there.has(sha256)

    scene(play)


def test_a_file_that_was_collected_while_it_was_sent_again_is_stored_again(scene: Scene) -> None:
    """The collector is first: it owns the object when the file's row is about to be written."""

    async def play(there: Place) -> None:
        content = b"\x08\x09 an onnx file of its own"
        sha256 = await there.put(content)
        with Reception(there.root / "in", max_bytes=100) as received:
            received.write(content)
            async with there.sessions() as collecting, collecting.begin():
                assert await collecting.scalar(try_to_own(DEFAULT_TENANT_ID, sha256))
                keeping = asyncio.create_task(_keep(there, received))
                await asyncio.sleep(0.3)
                assert not keeping.done()  # it waits for the lock, with the bytes in the store
                there.store.delete(tenant_id=DEFAULT_TENANT_ID, sha256=sha256)
            assert (await keeping).sha256 == sha256
        assert there.has(sha256)
        assert await there.collect() == []

    scene(play)


async def _keep(there: Place, received: Reception) -> File:
    async with there.sessions() as session, session.begin():
        return await files.keep(
            session, there.store, received, tenant_id=DEFAULT_TENANT_ID, filename="m", purpose="model"
        )


def test_parts_of_ended_and_unknown_uploads_are_freed(scene: Scene) -> None:
    async def play(there: Place) -> None:
        uploads = there.store.uploads
        rows = [upload_of(status) for status in UploadStatus]
        await there.add(*rows)
        strangers = [new_id("upl"), new_id("upl")]
        for upload_id in (*(row.id for row in rows), *strangers):
            uploads.begin(tenant_id=DEFAULT_TENANT_ID, upload_id=upload_id)
        (old,) = there.root.glob(f"objects/staging/uploads/*/{strangers[0]}")
        os.utime(old, (0, 0))
        await there.collect()
        left = {staged.upload_id for staged in uploads.staged_uploads()}
        assert left == {row.id for row in rows if row.status in {"pending", "verifying"}} | {strangers[1]}

    scene(play)


def test_rows_go_when_they_have_had_their_time_and_objects_with_them(scene: Scene) -> None:
    async def play(there: Place) -> None:
        used, unused = await there.put(b"used step"), await there.put(b"unused step")
        await there.add(step_of(used), step_of(unused))
        for index, days in enumerate((0.5, 1.5)):
            await there.add(
                IdempotencyKey(
                    tenant_id=DEFAULT_TENANT_ID,
                    operation="create_job",
                    key=f"key {index}",
                    request_sha256=bytes(32),
                    status_code=202,
                    headers={},
                    body={},
                    created_at=ago(days),
                )
            )
        ended, still_open = upload_of(UploadStatus.ABORTED), upload_of(UploadStatus.PENDING)
        ended.expires_at = still_open.expires_at = ago(8)
        await there.add(ended, still_open)
        async with there.sessions.begin() as session:
            await session.execute(update(JobStep).where(JobStep.sha256 == unused).values(last_used_at=ago(8)))
        rows = {("step", f"key of {unused}"), ("upload", ended.id)}
        answer = {("idempotency_key", "key 1")}  # an API that other tests run may be quicker to forget it
        assert {(piece.kind, piece.name) for piece in await there.look()} | answer == rows | answer
        collected = {(piece.kind, piece.name) for piece in await there.collect()}
        assert collected | answer == rows | answer | {("object", unused)}
        assert there.has(used)
        async with there.sessions() as session:
            assert (await session.scalars(select(IdempotencyKey.key))).all() == ["key 0"]

    scene(play)


def test_there_is_one_collection_at_a_time(scene: Scene) -> None:
    async def play(there: Place) -> None:
        async with single_runner(there.sessions):
            with pytest.raises(CollectionUnderWay):
                async with single_runner(there.sessions):
                    pass
        async with single_runner(there.sessions):
            pass

    scene(play)


def test_uploads_that_are_late_expire_and_their_parts_are_freed(scene: Scene) -> None:
    async def play(there: Place) -> None:
        late, early = upload_of(UploadStatus.PENDING), upload_of(UploadStatus.PENDING)
        late.expires_at = ago(0.001)
        await there.add(late, early)
        for row in (late, early):
            there.store.uploads.begin(tenant_id=DEFAULT_TENANT_ID, upload_id=row.id)
        assert await expire(there.sessions, there.store) == 1
        assert {staged.upload_id for staged in there.store.uploads.staged_uploads()} == {early.id}
        async with there.sessions() as session:
            statuses = {row.id: row.status for row in await session.scalars(select(Upload))}
        assert (statuses[late.id], statuses[early.id]) == ("expired", "pending")
        assert await expire(there.sessions, there.store) == 0

    scene(play)
