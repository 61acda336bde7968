"""What is measured of trained networks."""
