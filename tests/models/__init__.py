"""Small models with random weights, saved as files: judges, readers, and single files in the original layout."""
