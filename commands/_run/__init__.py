"""What `clinicrelay run` says, and where monitoring asks it."""
