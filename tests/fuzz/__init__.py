"""Inputs from outside at random: what each door of the agent must bear."""
