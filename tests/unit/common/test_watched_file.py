import asyncio
from pathlib import Path

from callcluster_common.watched_file import contents


async def test_a_file_is_followed_through_creation_replacement_and_loss(tmp_path: Path) -> None:
    path, seen = tmp_path / "keys.json", asyncio.Queue[bytes]()

    async def follow() -> None:
        async for data in contents(path, interval=0.005):
            seen.put_nowait(data)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        follower = group.create_task(follow())
        for data in (b"one", b"two"):
            fresh = tmp_path / "fresh"
            fresh.write_bytes(data)
            fresh.replace(path)
            assert await seen.get() == data
        path.unlink()
        path.mkdir()
        await asyncio.sleep(0.02)
        path.rmdir()
        path.write_bytes(b"three")
        assert await seen.get() == b"three"
        follower.cancel()
    assert seen.empty()
