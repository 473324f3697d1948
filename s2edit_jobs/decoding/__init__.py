"""Decode strangers' pictures in processes without secrets, with limits on time and memory."""
