"""Who turns the crank: `once` for cron; the steps know none of them."""
