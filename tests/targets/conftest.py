from tests.reference.conftest import internet

__all__ = ["internet"]
