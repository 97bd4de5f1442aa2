from tests.targets.reference.conftest import internet

__all__ = ["internet"]
