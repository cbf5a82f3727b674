"""What answers show: each module turns one kind of answer into a `Report`, for every renderer alike."""
