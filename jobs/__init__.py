"""Sample jobs: each is useful on a real host, and each is a lesson."""
