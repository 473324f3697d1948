"""Threads beside the attempts: reaper, sweeper, webhooks, and reports that the model is loaded."""
