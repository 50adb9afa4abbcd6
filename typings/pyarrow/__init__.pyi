# pyarrow ships no types: everything in it is Any to the checker.
from typing import Any

from pyarrow import compute as compute
from pyarrow import parquet as parquet

def __getattr__(name: str) -> Any: ...
