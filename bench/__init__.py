"""The scales: what a delivery costs here, beside the peers and the limit."""
