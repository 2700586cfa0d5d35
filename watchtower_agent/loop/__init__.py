"""The loop: observations in, decisions made and guarded, effects made durable and let out."""
