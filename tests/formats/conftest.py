import pytest

from pipeline.store import Store


@pytest.fixture(scope="session")
def store(session_store: Store) -> Store:
    return session_store
