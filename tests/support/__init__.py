"""Engines, brokers and proxies that the tests start and end themselves."""
