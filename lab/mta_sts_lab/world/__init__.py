"""The fake Internet: one small server a file, all in one event loop, all of them writing to one record."""
