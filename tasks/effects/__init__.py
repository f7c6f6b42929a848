"""Effects of each category's data on each category's performance, with their uncertainty."""
