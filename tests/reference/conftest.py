from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.reference.standin import Internet


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    made = Internet()
    await made.start()
    yield made
    await made.close()
