"""The secrets of whoever has the notebook open."""

import json
import os
from pathlib import Path


class NotebookAccessError(Exception):
    """The notebook may not see this secret."""


class SecretNotFoundError(Exception):
    """There is no such secret."""


class TimeoutException(Exception):
    """Nobody has the notebook open."""


def get(key: str) -> str:
    """The secret of this name."""
    if not (file := os.environ.get("COLAB_SECRETS")):
        raise TimeoutException(key)
    secrets = json.loads(Path(file).read_text("utf-8"))
    if key not in secrets:
        raise SecretNotFoundError(key)
    if secrets[key] is None:
        raise NotebookAccessError(key)
    return secrets[key]
