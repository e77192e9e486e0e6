"""The store: content by its digest, what actions gave, what is known of either. Nothing in it is needed for ever."""

from pipeline.store.store import CHUNK, Damaged, Missing, Record, Rope, Store, StoreError, Writer

__all__ = ["CHUNK", "Damaged", "Missing", "Record", "Rope", "Store", "StoreError", "Writer"]
