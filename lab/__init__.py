"""Evidence: the synthetic portrait world, the training of the shipped model, and the benches."""
