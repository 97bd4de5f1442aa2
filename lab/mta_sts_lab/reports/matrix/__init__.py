"""Several runs in one table: targets beside each other, cases below each other, and behind each cell its evidence."""
