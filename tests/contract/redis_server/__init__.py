"""What the service does when the Redis server refuses, hangs, stops, or comes back with older data."""
