"""Pure: policy texts and state in, decisions out. No I/O, no clock, no asyncio."""
