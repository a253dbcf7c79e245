"""The paths: where rooms meet. One file, one path; none imports another but `execute`."""
