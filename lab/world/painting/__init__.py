"""Painting by distance fields: soft-edged shapes, light and texture at any resolution, in numpy alone."""
