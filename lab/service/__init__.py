"""What the service costs."""
