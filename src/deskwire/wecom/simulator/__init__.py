"""A WeCom that runs here, for the demo and for tests. `deskwire serve` never imports it."""
