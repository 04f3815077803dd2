"""The portal: pages of the service, for a browser."""
