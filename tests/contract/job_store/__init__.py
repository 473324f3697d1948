"""What the job store promises."""
