"""Messages are shared out by recipient, so that several processes send and none overtakes another.

All that one person is owed lies in one shard, and a shard has one sender at a time (its lease): a
cancellation never arrives before the confirmation that it takes back.
"""

from __future__ import annotations

from zlib import crc32

SHARDS = 16


def shard_of(recipient: str) -> int:
    """Return the shard of a recipient (`patient/KEY`, `doctor/KEY`): the same for ever, everywhere."""
    return crc32(recipient.encode()) % SHARDS


def lease_of(shard: int) -> str:
    """Return the name of the lease under which a shard's messages leave."""
    return f"send/{shard}"
