from pipeline.planning.load import load as load_spec
from pipeline.project.build import build, plan
from pipeline.store import Store

__all__ = ["Store", "__version__", "build", "load_spec", "plan"]
__version__: str
