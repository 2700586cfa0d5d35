"""What the loop speaks to. Adapters implement these; tests put fakes behind them."""
