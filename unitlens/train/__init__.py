"""Training: rebuilds every weight file that ships with the package."""
