"""The store: blobs by their digest, results of actions. All of it can be made again."""

from pipeline.store.interfaces import MEMO, SEEDS
from pipeline.store.store import CHUNK, BlobWriter, Damaged, Missing, Record, Rope, Store, StoreError

__all__ = ["CHUNK", "MEMO", "SEEDS", "BlobWriter", "Damaged", "Missing", "Record", "Rope", "Store", "StoreError"]
