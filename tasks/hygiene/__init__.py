"""Pool hygiene: duplicates, near duplicates, contamination by benchmark items, length and language, reserves."""
