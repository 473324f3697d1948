"""What every object store promises, and what the service does when one is away, full, or not ours."""
