from pathlib import Path

import pytest

from tests.conformance import corpus


@pytest.fixture(scope="session")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def layout(case: Path, own_images: Path) -> Path:
    """The layout with the images that `case` names."""
    return own_images if case.is_relative_to(corpus.OWN) else corpus.IMAGES
