"""Everything that leaves for the broker: topics, payloads, the outbox, MQTT."""
