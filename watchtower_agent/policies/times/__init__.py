"""When a schedule or a window comes: cron expressions, time zones, and the days on which clocks change."""
